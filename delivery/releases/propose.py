"""From a pushed release branch to its open pull request, with the evidence read back from the registry."""

from dataclasses import replace
from urllib.parse import quote

from delivery.addresses import without_credentials
from delivery.connections import Connections
from delivery.forges.forge import Forge, ForgeError, PullRequest
from delivery.kserve.manifest import manifest_path
from delivery.registry.lookup import registry
from delivery.releases.live import live
from delivery.releases.proposal import ManifestChange, keep_one, newer_proposal, read_change, version_of, with_proposal
from delivery.releases.pull_request_text import Link, Story, body
from delivery.releases.rejection import follow_rejections
from delivery.releases.release import Release, subject
from training.errors import GateRefused, OstinatoError
from training.spec import ModelSpec


def check_proposable(forge: Forge, spec: ModelSpec, connections: Connections, version: str) -> ForgeError | None:
    """Before a run pushes a version's branch: mark it if people closed its proposal, and look for a newer one.

    Returns the error of a forge that can't be asked, for after the push: the branch is there then, and running again
    finishes. Raises GateRefused if a newer version is proposed, unless this one is live already.
    """
    try:
        branch = f"release/{spec.name}/v{version}"
        follow_rejections(forge, connections, {spec.name: spec.registered_name}, branch)
        newer = newer_proposal(forge, spec.name, version)
    except ForgeError as error:
        return error
    running = live(connections.manifests_remote, spec.name) if newer else None
    serving = (running.version, running.canary.version if running.canary else "") if running else ()
    if newer and version not in serving:
        raise GateRefused(
            f"version {version_of(newer)} of {spec.name} is proposed at {newer.url}, and version {version} is older, "
            f"so it was not proposed. To bring it all the same: ostinato promote {spec.name} --version {version}"
        )
    return None


def propose(
    forge: Forge | None, spec: ModelSpec, connections: Connections, released: Release, by_hand: bool
) -> Release:
    """The release with its open pull request; see :func:`delivery.releases.proposal.with_proposal`.

    Other open proposals of the model are superseded: the older ones by what a run proposes, all of them by what a
    person does. Raises GateRefused if a newer version is proposed and this is a run.
    """
    remote = connections.manifests_remote

    def describe() -> tuple[str, str]:
        change = read_change(remote, spec.name, released.branch, manifest_path(spec.name))
        line = subject(change.before, change.after, released.version)
        return line, body(describe_release(spec, connections.tracking_uri, released, change))

    def give_way(forge: Forge, pull: PullRequest) -> None:
        keep_one(forge, spec.name, pull, by_hand)

    return with_proposal(forge, remote, released, spec.release, describe, give_way)


def describe_release(spec: ModelSpec, tracking_uri: str, released: Release, change: ManifestChange) -> Story:
    """What the pull request says; where the evidence can't be had, why."""
    from delivery.registry.judged import fetch_judged

    registered = registry(tracking_uri).version(spec.registered_name, released.version)
    assert registered, "it was released from there"
    story = Story(spec.name, released.version, change, released.canary_percent)
    try:
        judged = fetch_judged(tracking_uri, registered)
    except OstinatoError as error:
        return replace(story, missing=str(error))
    links = registry_pages(tracking_uri, registered.name, registered.version, judged.experiment, registered.run_id)
    return replace(story, verdict=judged.verdict, card=judged.card, links=links)


def registry_pages(tracking_uri: str, name: str, version: str, experiment: str, run_id: str) -> tuple[Link, ...]:
    """Pages of an MLflow server; a registry in a file has none."""
    if not tracking_uri.startswith(("http://", "https://")):
        return ()
    root = f"{without_credentials(tracking_uri).rstrip('/')}/#"
    run = f"{root}/experiments/{experiment}/runs/{run_id}"
    registered = f"{root}/models/{quote(name, safe='')}/versions/{version}"
    return (
        Link(f"Version {version} of {name} in the registry", registered),
        Link("The run, with every metric and parameter", run),
        Link("The report, as a page", f"{run}/artifacts/report.html"),
    )
