"""Where the registry, the manifests repository and its forge are, as one value."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Connections:
    """Built once, in a step's face or a command, from the parameters or settings of the same names."""

    tracking_uri: str
    """Of MLflow, which is the model registry."""
    manifests_remote: str
    """Path or URL of the manifests repository."""
    artifacts_destination: str = ""
    """Where an MLflow server that hands out files itself keeps them (gs://, s3:// or file:///); "" for others."""
    forge: str = ""
    """The setting of that name: where a pull request is opened; "" for what the host of the remote says."""
