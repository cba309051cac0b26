"""The places of a release, and a checkout of the manifests repository as Argo CD would have it."""

from pathlib import Path

import pytest
from harness.candidates import model_spec
from harness.manifest_tree import checkout
from harness.places import empty_store, manifests, own_environment, place, remote, three_versions, tracking_uri
from harness.registered import Place
from harness.servers import git_server

from delivery.releases.environments import commit_promotion
from delivery.releases.release import release

__all__ = [
    "empty_store",
    "git_server",
    "manifests",
    "own_environment",
    "place",
    "remote",
    "three_versions",
    "tracking_uri",
]

MODELS = ("bike-demand", "other-model")


@pytest.fixture
def released(place: Place, tmp_path: Path) -> Path:
    """The tree after releases of two models, a promotion of both, and one more release of the first."""
    for name in MODELS:
        serving = {"scaling": {"min_replicas": 2, "max_replicas": 3}}
        spec = model_spec(name, registry=MODELS[0], serving=serving)
        release(spec, place.connections, "1", "direct")
        commit_promotion(place.remote, name)
    place.release("2")
    return checkout(place.manifests, tmp_path / "tree")
