"""The sections of the settings that tell who is told of runs, and whose events are heard."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from pipelines.backends.table import find_remote_backend
from training.spec.section import Frozen


def _check_backend(name: str) -> str:
    find_remote_backend(name)
    return name


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

    backend: Annotated[str, AfterValidator(_check_backend)] = "vertex"
    audience: str = ""
    """Of the identity tokens that Pub/Sub and Eventarc send: the entry point's own URL."""
    senders: list[str] = []
    """Service accounts whose tokens are taken."""
    models: dict[str, str] = {}
    """Registered model in MLflow -> model here that is trained when it gets a new version."""
