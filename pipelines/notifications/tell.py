"""Telling: once for each run where that can be known, and never at the expense of the run itself."""

import json
import sys
from dataclasses import replace
from datetime import datetime

from delivery.registry.lookup import registry
from delivery.registry.mlflow import MISSING, mlflow_client, registry_errors
from delivery.registry.versions import RUN_TAG, ModelVersion
from delivery.registry.writes import ensure_registered_model
from delivery.secret import secret
from pipelines.backends.remote import ENDED, BackendClient
from pipelines.notifications import slack
from pipelines.notifications.notice import Notice, notice_of_remote
from pipelines.settings.sections import NotifySettings
from pipelines.settings.settings import Workspace
from training.errors import InputError, OstinatoError
from training.folder import model_names, model_spec

TOLD_TAG = "ostinato.notified"
"""Of the registered model: ids of the newest runs that were told of, as a JSON list."""
KEPT = 40
"""Ids in it; MLflow takes 5,000 characters, and an id has fewer than 100."""


def tell(settings: NotifySettings, notice: Notice) -> list[str]:
    """Send the notice to whoever is configured. Returns what kept it from somebody; nothing is raised."""
    if notice.kind not in settings.on:
        return []
    problems = []
    try:
        if webhook := secret(slack.WEBHOOK):
            slack.send(webhook, notice)
    except OstinatoError as error:
        problems.append(str(error))
    try:
        if settings.email_to:
            from pipelines.notifications import mail

            mail.send(settings, notice)
    except OstinatoError as error:
        problems.append(str(error))
    return problems


def check_configured(settings: NotifySettings) -> None:
    """Raises InputError unless somebody would be told."""
    if not configured(settings):
        raise InputError(f"nobody would be told: set {slack.WEBHOOK}, or notify.email_to")


def configured(settings: NotifySettings) -> bool:
    return bool(settings.email_to or secret(slack.WEBHOOK))


def tell_once(workspace: Workspace, notice: Notice) -> tuple[Notice, list[str]] | None:
    """Tell of a run unless somebody was told; gives what was told with its problems, None where there was nothing to
    tell.

    A release is told of by the run that made the version: one that found nothing new has nothing to say. The run is
    noted on its registered model after it was told: a stop between the two tells it twice, never not at all. Raises
    OstinatoError if the registry can't be used.
    """
    spec, tracking_uri = model_spec(workspace.root, notice.model), workspace.connections.tracking_uri
    if notice.kind not in workspace.settings.notify.on:
        return None
    if notice.kind == "released":
        versions = [
            version
            for version in registry(tracking_uri).versions(spec.registered_name)
            if _made_by(version, notice.run)
        ]
        if not versions:
            return None
        notice = replace(notice, version=versions[-1].version)
    notified = _told(tracking_uri, spec.registered_name)
    if notice.run in notified:
        return None
    problems = tell(workspace.settings.notify, notice)
    if not problems:
        _note(tracking_uri, spec.registered_name, spec.description, [*notified, notice.run][-KEPT:])
    return notice, problems


def tell_and_warn(workspace: Workspace, notice: Notice | None) -> None:
    """As :func:`tell_once`; a problem is a line on stderr, so that the run ends as it ended."""
    try:
        if notice is None or not configured(workspace.settings.notify):
            return
        outcome = tell_once(workspace, notice)
        problems = outcome[1] if outcome else []
    except OstinatoError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"somebody was not notified: {problem}", file=sys.stderr)


def tell_of_runs(workspace: Workspace, client: BackendClient, since: datetime) -> list[tuple[Notice, list[str]]]:
    """Tell of a backend's runs that ended since then and that nobody was told of, oldest first.

    Raises OstinatoError if the backend or the registry can't be used.
    """
    check_configured(workspace.settings.notify)
    notices = []
    known = set(model_names(workspace.root))
    for run in reversed(client.runs(since)):
        if run.model not in known or run.state not in ENDED:
            continue
        notice = notice_of_remote(client.get(run.run))
        outcome = tell_once(workspace, notice) if notice else None
        if outcome:
            notices.append(outcome)
    return notices


def _made_by(version: ModelVersion, run: str) -> bool:
    return version.tags.get(RUN_TAG) == run


def _told(tracking_uri: str, name: str) -> list[str]:
    client = mlflow_client(tracking_uri)
    with registry_errors(tracking_uri, fine=MISSING):
        return json.loads(client.get_registered_model(name).tags.get(TOLD_TAG, "[]"))
    return []


def _note(tracking_uri: str, name: str, description: str, runs: list[str]) -> None:
    client = mlflow_client(tracking_uri)
    ensure_registered_model(client, tracking_uri, name, description)
    with registry_errors(tracking_uri):
        client.set_registered_model_tag(name, TOLD_TAG, json.dumps(runs))
