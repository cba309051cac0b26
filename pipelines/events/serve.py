"""The entry point of one workspace: its models, its engine, its secrets."""

from typing import TYPE_CHECKING

from delivery.secret import secret
from pipelines.events.access import GOOGLE_CERTS, Access
from pipelines.events.app import Submit, make_app
from pipelines.events.meaning import Models
from pipelines.settings.settings import Workspace
from training.errors import InputError, did_you_mean
from training.folder import model_names, model_spec

if TYPE_CHECKING:
    from starlette.applications import Starlette


def access_of(workspace: Workspace, certs_url: str = GOOGLE_CERTS) -> Access:
    """Who may send events, by settings and environment. Raises InputError if that is nobody."""
    events = workspace.settings.events
    if bool(events.audience) != bool(events.senders):
        raise InputError("events.audience and events.senders go together: set both, or none of them")
    found = Access(
        audience=events.audience,
        senders=tuple(events.senders),
        mlflow_secret=secret("OSTINATO_MLFLOW_WEBHOOK_SECRET"),
        drift_secret=secret("OSTINATO_EVENTS_SECRET"),
        certs_url=certs_url,
    )
    if not (found.audience or found.mlflow_secret or found.drift_secret):
        raise InputError(
            "nobody could send an event: set events.audience and events.senders (Pub/Sub, Eventarc), "
            "OSTINATO_MLFLOW_WEBHOOK_SECRET (MLflow) or OSTINATO_EVENTS_SECRET (the drift watch)"
        )
    return found


def models_of(workspace: Workspace) -> Models:
    """The workspace's models. Raises InputError if ``events.models`` names an unknown one, or goes in a circle."""
    specs = {name: model_spec(workspace.root, name) for name in model_names(workspace.root)}
    for registered, model in workspace.settings.events.models.items():
        if model not in specs:
            raise InputError(f"events.models.{registered}: no model {model!r}. {did_you_mean(model, specs)}")
        if specs[model].registered_name == registered:
            raise InputError(f"events.models.{registered}: {model} registers this itself, and would train forever")
    settings, destination = workspace.settings, workspace.connections.artifacts_destination
    own = (settings.vertex.pipeline_root, settings.kubeflow.pipeline_root, destination)
    return Models(
        {name: spec.data.source for name, spec in specs.items()},
        workspace.settings.events.models,
        tuple(root for root in own if root),
    )


def engine_submit(workspace: Workspace) -> Submit:
    """Submits to the engine of ``events.backend``."""
    from pipelines.submit import submit_model

    def submit(model: str, key: str, trigger: str, data: str | None):
        return submit_model(workspace, model, workspace.settings.events.backend, key=key, trigger=trigger, data=data)

    return submit


def workspace_app(workspace: Workspace) -> "Starlette":
    """Raises InputError for settings by which nothing could ever start."""
    return make_app(engine_submit(workspace), models_of(workspace), access_of(workspace))
