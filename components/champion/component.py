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

    from components.champion.steps import fetch_comparison
    from delivery.connections import Connections

    comparison = fetch_comparison(
        model, Connections(tracking_uri, manifests_remote), Path(candidate.path), Path(champion.path)
    )
    if comparison:
        champion.metadata.update(version=comparison.version, digest=comparison.digest)
    return (comparison.version if comparison else "",)
