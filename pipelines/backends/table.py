"""The backends, each a row: a new one is a folder beside this file, and a row here.

The functions import when they are called, since clients take seconds to import.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.remote import BackendClient
from pipelines.backends.row import Backend, PriceList, TrainingJob
from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError, did_you_mean
from training.spec.model import ModelSpec

if TYPE_CHECKING:
    from kfp.dsl import PipelineTask


def _vertex_client(settings: VertexSettings) -> BackendClient:
    from pipelines.backends.vertex.backend_client import VertexClient

    return VertexClient(settings)


def _vertex_package(pipeline: dict[str, Any], spec: ModelSpec, settings: VertexSettings) -> dict[str, Any]:
    from pipelines.backends.vertex.package import for_vertex

    return for_vertex(pipeline, spec, settings)


def _vertex_training_job(job: TrainingJob) -> str:
    from pipelines.backends.vertex.custom_job import custom_job_text

    return custom_job_text(job)


def _vertex_prices(settings: VertexSettings, file: Path | None) -> PriceList:
    from pipelines.backends.vertex.prices import RegionPrices, load_prices

    return RegionPrices(load_prices(file), settings.region)


def _kubeflow_client(settings: KubeflowSettings) -> BackendClient:
    from pipelines.backends.kubeflow.backend_client import KubeflowClient

    return KubeflowClient(settings)


def _kubeflow_task(task: "PipelineTask", step: str, spec: ModelSpec, settings: KubeflowSettings) -> None:
    from pipelines.backends.kubeflow.platform_document import ask_kubernetes

    ask_kubernetes(task, step, spec, settings)


def _kubeflow_training_job(job: TrainingJob) -> str:
    from pipelines.backends.kubeflow.train_job import train_job_text

    return train_job_text(job)


ROWS = (
    Backend(name="local", title="this machine"),
    Backend(
        name="vertex",
        title="Vertex AI",
        settings=VertexSettings,
        client=_vertex_client,
        transform=_vertex_package,
        training_job=_vertex_training_job,
        prices=_vertex_prices,
    ),
    Backend(
        name="kubeflow",
        title="Kubeflow",
        settings=KubeflowSettings,
        client=_kubeflow_client,
        prepare_task=_kubeflow_task,
        training_job=_kubeflow_training_job,
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
