"""The settings of Vertex AI."""

from typing import Annotated, Literal

from pydantic import Field

from pipelines.backends.row import BackendSettings, EnvironmentName


class VertexSettings(BackendSettings):
    """Vertex AI Pipelines. Credentials are Google's Application Default Credentials."""

    project: str = ""
    region: str = ""
    """Such as `europe-west4`."""
    pipeline_root: Annotated[str, Field(pattern=r"^(gs://[^/]+.*)?$")] = ""
    """`gs://` folder for what the steps hand on."""
    service_account: str = ""
    """That the steps run as; the project's Compute Engine account unless given, which may do too much."""
    network: str = ""
    """`projects/NUMBER/global/networks/NAME`, to which the steps are peered."""
    encryption_key: str = ""
    """Cloud KMS key of everything that the run writes."""
    failure_policy: Literal["slow", "fast"] = "slow"
    """After a failed step: `slow` lets steps that run finish their branch, `fast` starts nothing more."""
    endpoint: str = ""
    """Another address of the service than the region's own; a private one, for example."""
    secrets: dict[EnvironmentName, Annotated[str, Field(pattern=r"^projects/[^/]+/secrets/[^/]+/versions/[^/]+$")]] = {}
    """Environment variable of the steps -> secret version in Secret Manager, read when a step starts."""

    @property
    def is_set_up(self) -> bool:
        return bool(self.project)

    @property
    def output_root(self) -> str:
        return self.pipeline_root
