"""The entry point of one workspace: its models, its backend, its secrets."""

from typing import TYPE_CHECKING

from delivery.secret import secret
from pipelines.backends.table import BACKENDS
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
    access = Access(
        audience=events.audience,
        senders=tuple(events.senders),
        mlflow_secret=secret("OSTINATO_MLFLOW_WEBHOOK_SECRET"),
        drift_secret=secret("OSTINATO_EVENTS_SECRET"),
        certs_url=certs_url,
    )
    if not (access.audience or access.mlflow_secret or access.drift_secret):
        raise InputError(
            "nobody could send an event: set events.audience and events.senders (Pub/Sub, Eventarc), "
            "OSTINATO_MLFLOW_WEBHOOK_SECRET (MLflow) or OSTINATO_EVENTS_SECRET (the drift watch)"
        )
    return access


def models_of(workspace: Workspace) -> Models:
    """The workspace's models. Raises InputError if ``events.models`` names an unknown one, or goes in a circle."""
    specs = {name: model_spec(workspace.root, name) for name in model_names(workspace.root)}
    for registered, model in workspace.settings.events.models.items():
        if model not in specs:
            raise InputError(f"events.models.{registered}: no model {model!r}. {did_you_mean(model, specs)}")
        if specs[model].registered_name == registered:
            raise InputError(f"events.models.{registered}: {model} registers this itself, and would train forever")
    roots = (
        workspace.connections.artifacts_destination,
        *(workspace.settings.of_backend(name).output_root for name in BACKENDS),
    )
    return Models(
        {name: spec.data.source for name, spec in specs.items()},
        workspace.settings.events.models,
        tuple(root for root in roots if root),
    )


def backend_submit(workspace: Workspace) -> Submit:
    """Submits to the backend of ``events.backend``."""
    from pipelines.submit import submit_model

    def submit(model: str, key: str, trigger: str, data: str | None):
        return submit_model(workspace, model, workspace.settings.events.backend, key=key, trigger=trigger, data=data)

    return submit


def workspace_app(workspace: Workspace) -> "Starlette":
    """Raises InputError for settings by which nothing could ever start."""
    return make_app(backend_submit(workspace), models_of(workspace), access_of(workspace))
