"""The KFP face of the deploy step."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="ostinato", install_kfp_package=False)
def deploy(
    spec: str,
    tracking_uri: str,
    manifests_remote: str,
    version: str,
    release: str,
    code_version: str,
    run: str,
    run_resource: str,
    texts: str,
    verdict: dsl.Input[dsl.Artifact],
    released: dsl.Output[dsl.Artifact],
    artifacts_destination: str = "",
    forge: str = "",
) -> NamedTuple("Outputs", [("commit", str), ("canary_percent", int), ("pull_request", str), ("note", str)]):  # pyright: ignore[reportInvalidTypeForm]
    """Commit the version's manifest, or propose it, and let the registry's aliases follow git."""
    from pathlib import Path

    from components.artifacts import leave
    from components.deploy.steps import deploy, released_facts
    from components.run_name import run_name
    from delivery.connections import Connections
    from training.spec.argument import unpack

    (spec,) = unpack([spec], texts)
    connections = Connections(tracking_uri, manifests_remote, artifacts_destination, forge)
    name = run_name(run, run_resource)
    result = deploy(spec, connections, version, release, code_version, name, Path(verdict.path))
    leave(released, released_facts(result, manifests_remote, code_version))
    return result.commit, result.canary_percent, result.pull_request, result.note
