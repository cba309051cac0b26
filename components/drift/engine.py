"""The watch as a backend runs it: the training is asked for by an event, and bad data makes the step red."""

from components.drift.event import events_secret, post_event
from components.drift.steps import Watched, watch
from delivery.connections import Connections
from training.errors import GateRefused, InputError
from training.folder import model_folder, workspace_root
from training.spec import ModelSpec


def watch_and_ask(spec: str, connections: Connections, source: str, as_of: str, events_url: str) -> Watched:
    """Watch, and post an event where a training is asked for.

    Raises GateRefused for bad data; InputError before anything is looked at without an address or a secret; else as
    :func:`components.drift.steps.watch` and :func:`components.drift.event.post_event`.
    """
    model = ModelSpec.model_validate_json(spec)
    if not events_url:
        raise InputError("events_url is empty, so a training could not be asked for; give `ostinato events serve`'s")
    events_secret()
    folder = model_folder(workspace_root(), model.name)
    watched = watch(model, connections, folder, as_of, source, lambda watched: post_event(events_url, watched))
    refuse_bad_data(watched)
    return watched


def refuse_bad_data(watched: Watched) -> None:
    """Raises GateRefused if the newest window is bad data, so that whoever runs the watch sees it."""
    if watched.decision == "bad data":
        raise GateRefused(
            f"the live data of {watched.model} is bad, and nothing is trained on it: {watched.reason}; "
            f"window that ended {watched.window}, live version {watched.version}"
        )
