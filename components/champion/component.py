"""The KFP face of the champion step."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="ostinato", install_kfp_package=False)
def champion(
    model: str,
    manifests_remote: str,
    tracking_uri: str,
    candidate: dsl.Input[dsl.Model],
    champion: dsl.Output[dsl.Model],
) -> NamedTuple("Outputs", [("version", str)]):  # pyright: ignore[reportInvalidTypeForm]
    """Fetch the model folder that git says is live; an empty folder and version "" when nothing is."""
    from pathlib import Path

    from components.champion.steps import fetch_rival
    from delivery.connections import Connections

    rival = fetch_rival(model, Connections(tracking_uri, manifests_remote), Path(candidate.path), Path(champion.path))
    if rival:
        champion.metadata.update(version=rival.version, digest=rival.digest)
    return (rival.version if rival else "",)
