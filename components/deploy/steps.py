"""The deploy step: the registered version goes live in git, or is proposed, and the aliases follow."""

from pathlib import Path

from delivery.connections import Connections
from delivery.documents.verdict import Verdict, check_decision
from delivery.kserve.manifest import manifest_path
from delivery.registry.lookup import registry
from delivery.releases import operations
from delivery.releases.release import Release, check_mode
from training.errors import OstinatoError
from training.spec import ModelSpec


def deploy(
    spec: str, connections: Connections, version: str, release_mode: str, code_version: str, run: str, verdict: Path
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
    _check_judged(judged, model.registered_name, version, connections)
    champion = judged.contender("champion")
    outcome = operations.deploy(
        model,
        connections,
        version,
        check_mode(release_mode),
        judged_against=champion.version if champion else "",
        trailers={"Ostinato-Run": run, "Ostinato-Code": code_version},
    )
    return outcome.result


def _check_judged(verdict: Verdict, registered_name: str, version: str, connections: Connections) -> None:
    """Raises OstinatoError for a verdict on another model than the registered one."""
    registered = registry(connections.tracking_uri).version(registered_name, version)
    candidate = verdict.contender("candidate")
    if registered and (candidate is None or candidate.digest != registered.digest):
        raise OstinatoError(
            f"version {version} of {registered_name} has model digest {registered.digest or 'none'}, but the verdict "
            f"is on {candidate.digest if candidate else 'no candidate'}; run the pipeline again from evaluate"
        )


def released_facts(released: Release, manifests_remote: str, code_version: str) -> dict[str, str | int]:
    """What leads from the backend's UI to what is live, or proposed."""
    return {
        "version": released.version,
        "manifests": manifests_remote,
        "manifest": manifest_path(released.model),
        "commit": released.commit,
        "branch": released.branch,
        "pull_request": released.pull_request,
        "canary_percent": released.canary_percent,
        "code_commit": code_version,
    }
