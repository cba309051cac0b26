"""The places of a release."""

from harness.image_registries import image_registry, password_registry
from harness.places import empty_store, manifests, own_environment, place, remote, three_versions, tracking_uri
from harness.servers import git_server, mlflow_server

__all__ = [
    "empty_store",
    "git_server",
    "image_registry",
    "manifests",
    "mlflow_server",
    "own_environment",
    "password_registry",
    "place",
    "remote",
    "three_versions",
    "tracking_uri",
]
