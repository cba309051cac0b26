"""The deploy step: the registered version goes live in git, or is proposed, and the aliases follow."""

from pathlib import Path

from delivery.connections import Connections
from delivery.documents.verdict import Verdict, check_decision
from delivery.forges.choose import forge_of
from delivery.git.repository import LIVE_BRANCH
from delivery.kserve.manifest import manifest_path
from delivery.registry.lookup import registry
from delivery.releases.proposal import pushed
from delivery.releases.propose import check_proposable, propose
from delivery.releases.reconcile import reconcile
from delivery.releases.rejection import follow_rejections
from delivery.releases.release import Release, check_mode, release
from training.errors import OstinatoError
from training.spec.model import ModelSpec


def deploy(
    spec: str,
    connections: Connections,
    version: str,
    release_mode: str,
    code_version: str,
    run: str,
    verdict: Path,
) -> Release:
    """Release ``version`` as the spec's JSON says, then reconcile.

    ``release_mode`` is `direct` or `pull-request`. Nothing changes if the manifest is live (or proposed) already.
    Raises GateRefused if the verdict is not a pass, people rejected the version, or a newer one is proposed;
    OstinatoError if it is a verdict on another model, or against a champion that is not live any more: a run that was
    stopped, or overtaken by another, starts again; ForgeError if the branch is there and the pull request is not.
    """
    model = ModelSpec.model_validate_json(spec)
    judged = Verdict.read(verdict)
    check_decision(judged)
    found = registry(connections.tracking_uri).version(model.registered_name, version)
    candidate = judged.contender("candidate")
    if found and (candidate is None or candidate.digest != found.digest):
        raise OstinatoError(
            f"version {version} of {model.registered_name} has model digest {found.digest or 'none'}, but the verdict "
            f"is on {candidate.digest if candidate else 'no candidate'}; run the pipeline again from evaluate"
        )
    mode = check_mode(release_mode)
    at = forge_of(connections.manifests_remote, connections.forge) if mode == "pull-request" else None
    trouble = check_proposable(at, model, connections, version) if at else None
    released = release(
        model,
        connections,
        version,
        mode,
        {"Ostinato-Run": run, "Ostinato-Code": code_version},
        judged_against=champion.version if (champion := judged.contender("champion")) else "",
    )
    if trouble and released.branch != LIVE_BRANCH:
        raise pushed(trouble, released.branch) from trouble
    released = propose(at, model, connections, released, by_hand=False)
    reconcile(connections, model.name)
    if at and not trouble:
        follow_rejections(at, connections, {model.name: model.registered_name})
    return released


def released_facts(done: Release, manifests_remote: str, code_version: str) -> dict[str, str | int]:
    """What leads from the engine's UI to what is live, or proposed."""
    return {
        "version": done.version,
        "manifests": manifests_remote,
        "manifest": manifest_path(done.model),
        "commit": done.commit,
        "branch": done.branch,
        "pull_request": done.pull_request,
        "canary_percent": done.canary_percent,
        "code_commit": code_version,
    }
