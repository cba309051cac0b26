"""The backends, each a row: a new one is a folder beside this file, and a row here.

The functions import when they are called, since clients take seconds to import.
"""

from delivery.late import late
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.row import Backend
from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError, did_you_mean

ROWS = (
    Backend(name="local", title="this machine"),
    Backend(
        name="vertex",
        title="Vertex AI",
        settings=VertexSettings,
        client=late("pipelines.backends.vertex.backend_client", "VertexClient"),
        transform=late("pipelines.backends.vertex.package", "for_vertex"),
        training_job=late("pipelines.backends.vertex.custom_job", "custom_job_text"),
        prices=late("pipelines.backends.vertex.prices", "region_prices"),
    ),
    Backend(
        name="kubeflow",
        title="Kubeflow",
        settings=KubeflowSettings,
        client=late("pipelines.backends.kubeflow.backend_client", "KubeflowClient"),
        prepare_task=late("pipelines.backends.kubeflow.platform_document", "ask_kubernetes"),
        training_job=late("pipelines.backends.kubeflow.train_job", "train_job_text"),
        secrets=("OSTINATO_KUBEFLOW_TOKEN", "OSTINATO_KUBEFLOW_USER", "OSTINATO_KUBEFLOW_PASSWORD"),
    ),
)
BACKENDS = {row.name: row for row in ROWS}
"""By name."""


def find_backend(name: str) -> Backend:
    """The row of that name. Raises InputError for an unknown one."""
    if name not in BACKENDS:
        raise InputError(f"there is no backend {name!r}. {did_you_mean(name, BACKENDS)}")
    return BACKENDS[name]


def find_remote_backend(name: str) -> Backend:
    """The row of that name. Raises InputError for an unknown one, and for one that `ostinato submit` can't reach."""
    remote = [row.name for row in BACKENDS.values() if row.client]
    if name in BACKENDS and name not in remote:
        raise InputError(f"the backend {name!r} takes no submissions; run the model with: ostinato run")
    if name not in remote:
        raise InputError(f"there is no backend {name!r}. {did_you_mean(name, remote)}")
    return BACKENDS[name]
