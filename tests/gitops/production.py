"""The files of a promoted model in the manifests repository, and a person's working copy of it."""

import subprocess
import tempfile

from release.candidates import bare_git
from release.registered import Place

NAME = "bike-demand"
FILE = f"models/{NAME}/inferenceservice.yaml"
STAGING = f"environments/staging/{NAME}/kustomization.yaml"
PRODUCTION = f"environments/production/{NAME}"


def blob(place: Place, path: str, commit: str = "main") -> str:
    return bare_git(place.manifests, "rev-parse", f"{commit}:{path}")


def in_a_copy(place: Place, *arguments: str) -> None:
    """Run one git command in a working copy, as a person would, and push what it did."""
    with tempfile.TemporaryDirectory(dir=place.work) as copy:

        def git(*arguments: str) -> None:
            who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
            subprocess.run(["git", "-C", copy, *who, *arguments], check=True, capture_output=True)

        subprocess.run(["git", "clone", "--quiet", str(place.manifests), copy], check=True)
        git(*arguments)
        if arguments[0] != "revert":
            git("commit", "--quiet", "-m", " ".join(arguments))
        git("push", "--quiet", "origin", "HEAD:main")
