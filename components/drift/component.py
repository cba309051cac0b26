"""The KFP face of the drift watch."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="ostinato", install_kfp_package=False)
def drift_watch(
    spec: str, texts: str, tracking_uri: str, manifests_remote: str, source: str, as_of: str, events_url: str
) -> NamedTuple("Outputs", [("decision", str), ("reason", str), ("answer", str)]):  # pyright: ignore[reportInvalidTypeForm]
    """Look at the newest windows of live inputs, and ask for a training if they have drifted; red for bad data."""
    from components.drift.engine import watch_and_ask
    from delivery.connections import Connections
    from training.spec.argument import unpack

    (spec,) = unpack([spec], texts)
    watched = watch_and_ask(spec, Connections(tracking_uri, manifests_remote), source, as_of, events_url)
    return watched.decision, watched.reason, watched.answer
