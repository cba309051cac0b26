"""The sections of the settings that tell where an engine is, who is told of its runs, and whose events are heard."""

from typing import Annotated, Any, Literal

from pydantic import Field

from training.spec.section import Frozen

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class VertexSettings(Frozen):
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


class KubeflowSettings(Frozen):
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


class NotifySettings(Frozen):
    """Who is told how a run ended. `OSTINATO_SLACK_WEBHOOK[_FILE]` is the address of a Slack-compatible webhook."""

    on: list[Literal["failed", "refused", "released"]] = ["failed", "refused", "released"]
    email_to: list[str] = []
    email_from: str = ""
    smtp_host: str = ""
    smtp_port: int = 587
    """465 is TLS from the start; on another STARTTLS is asked for."""


class EventsSettings(Frozen):
    """Whose events start a run at `ostinato events serve`."""

    backend: Literal["vertex", "kubeflow"] = "vertex"
    audience: str = ""
    """Of the identity tokens that Pub/Sub and Eventarc send: the entry point's own URL."""
    senders: list[str] = []
    """Service accounts whose tokens are taken."""
    models: dict[str, str] = {}
    """Registered model in MLflow -> model here that is trained when it gets a new version."""
