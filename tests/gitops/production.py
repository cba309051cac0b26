"""The files of a promoted model in the manifests repository, and a person's working copy of it."""

from harness.candidates import bare_git
from harness.registered import Place

NAME = "bike-demand"
FILE = f"models/{NAME}/inferenceservice.yaml"
STAGING = f"environments/staging/{NAME}/kustomization.yaml"
PRODUCTION = f"environments/production/{NAME}"


def blob(place: Place, path: str, commit: str = "main") -> str:
    return bare_git(place.manifests, "rev-parse", f"{commit}:{path}")
