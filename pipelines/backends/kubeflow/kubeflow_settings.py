"""The settings of Kubeflow."""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipelines.backends.row import BackendSettings, EnvironmentName


class KubeflowSettings(BackendSettings):
    """Kubeflow Pipelines 2. Tokens and passwords are read from the environment."""

    endpoint: str = ""
    """URL of the API, such as `https://kubeflow.example.org/pipeline`."""
    namespace: str = ""
    """Of a multi-user installation."""
    experiment: str = "ostinato"
    pipeline_root: str = ""
    """`s3://`, `gs://` or `minio://` folder for what the steps hand on; the installation's own unless given."""
    auth: Literal["none", "token", "iap", "dex"] = "none"
    """`token`: `OSTINATO_KUBEFLOW_TOKEN[_FILE]`, or the token that the cluster mounts. `iap`: Google's proxy. `dex`:
    `OSTINATO_KUBEFLOW_USER` and `OSTINATO_KUBEFLOW_PASSWORD[_FILE]`."""
    client_id: str = ""
    """Audience of `auth: iap`."""
    ca_file: str = ""
    """Certificates (PEM) that the endpoint's is signed by."""
    service_account: str = ""
    """That the steps' pods run as."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes that steps run on."""
    tolerations: list[dict[str, Any]] = []
    """Of every step, as in a pod's spec."""
    spot_node_selector: dict[str, str] = {}
    """Labels of the nodes that may be taken away, for steps that say `spot: true`."""
    spot_tolerations: list[dict[str, Any]] = []
    secrets: dict[EnvironmentName, Annotated[str, Field(pattern=r"^[-a-z0-9.]+/[-._a-zA-Z0-9]+$")]] = {}
    """Environment variable of the steps -> `SECRET/KEY` in the namespace."""
    secret_files: dict[Annotated[str, Field(pattern=r"^/")], str] = {}
    """Folder in the steps' containers -> secret that is mounted there."""
    volumes: dict[Annotated[str, Field(pattern=r"^/")], str] = {}
    """Folder in the steps' containers -> PersistentVolumeClaim that is mounted there."""
    time_zone: str = "UTC"
    """That the installation's schedules are in: `cronScheduleTimezone` of its ConfigMap `pipeline-install-config`."""

    @property
    def is_set_up(self) -> bool:
        return bool(self.endpoint)

    @property
    def mounts(self) -> tuple[str, ...]:
        return tuple(self.volumes)

    @property
    def output_root(self) -> str:
        return self.pipeline_root
