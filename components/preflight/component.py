"""The KFP face of the preflight step."""

from kfp import dsl


@dsl.component(base_image="ostinato", install_kfp_package=False)
def preflight(
    spec: str,
    texts: str,
    tracking_uri: str,
    manifests_remote: str,
    release: str,
    until: str,
    artifacts_destination: str = "",
    forge: str = "",
):
    """Try every connection that a later step needs, before anything is computed; nothing is written."""
    from delivery.connections import Connections
    from delivery.releases.preflight import preflight
    from training.spec import ModelSpec
    from training.spec.argument import unpack

    (text,) = unpack([spec], texts)
    connections = Connections(tracking_uri, manifests_remote, artifacts_destination, forge)
    for line in preflight(ModelSpec.model_validate_json(text), connections, release, until):
        print(line)
