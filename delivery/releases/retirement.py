"""Taking a model out: one commit that removes its folders from the manifests repository."""

from dataclasses import dataclass

from delivery.git.change import Change, commit_change
from delivery.git.history import MODEL, RETIRED, file_history
from delivery.git.manifests import manifest_at
from delivery.git.repository import LIVE_BRANCH, ReleaseMode, Snapshot
from delivery.kserve.manifest import LiveModel, Manifest, manifest_path
from delivery.releases.manifest_commit import ManifestCommit
from delivery.releases.places import ending_commands, places_of
from training.errors import InputError, OstinatoError


@dataclass(frozen=True, kw_only=True)
class Retirement(ManifestCommit):
    """What a retirement came to in git, of the version that was live last; the cluster keeps the service until the
    commands are typed."""

    registered_model: str
    commands: tuple[str, ...]
    """They end Application and service, in this order."""


def commit_retirement(manifests_remote: str, name: str, mode: ReleaseMode = "direct") -> Retirement:
    """Take the folders of a model out, of models/ and of every environment: one commit, there or proposed.

    Again changes nothing, and says the same commands. Raises InputError if the model never was live or a canary runs;
    OstinatoError if a release of the model lands meanwhile.
    """
    seen: list[Manifest] = []
    last: list[tuple[LiveModel, tuple[str, ...]]] = []

    def take_out(snapshot: Snapshot) -> Change | None:
        manifest = manifest_at(snapshot, name)
        seen.extend([manifest] if manifest else [])
        if manifest and manifest.content != seen[0].content:
            raise OstinatoError(f"a release of {name} landed while retiring it; see `ostinato status {name}`")
        last.append(_last(snapshot, name))
        live = _decided(last[-1][0])
        branch = LIVE_BRANCH if mode == "direct" else f"retire/{name}/v{live.version}"
        paths = model_paths(snapshot, name)
        return Change(manifest_path(name), dict.fromkeys(paths), _message(live), branch) if paths else None

    committed = commit_change(manifests_remote, take_out, "" if mode == "direct" else f"retire/{name}/*", history=True)
    live, commands = last[-1]
    registered_model = live.registered_model
    return Retirement(name, live.version, *committed, registered_model=registered_model, commands=commands)


def model_paths(snapshot: Snapshot, name: str) -> list[str]:
    """Every file of the model's folders, in models/ and in every environment."""
    paths = snapshot.paths(f"models/{name}", "environments")
    return sorted(path for path in paths if path.startswith("models/") or path.split("/")[2:3] == [name])


def _last(snapshot: Snapshot, name: str) -> tuple[LiveModel, tuple[str, ...]]:
    """What is live, or was until it was taken out; with the commands of its places."""
    if manifest_path(name) not in snapshot.paths(manifest_path(name)):
        history = file_history(snapshot.repository, snapshot.commit, manifest_path(name))
        if not history:
            raise InputError(f"{name} never was live, so there is nothing to retire; see `ostinato status`")
        snapshot = Snapshot(snapshot.repository, f"{history[-1][0]}^")
    manifest = manifest_at(snapshot, name)
    assert manifest, "a commit takes away what its parent has"
    return manifest.served, ending_commands(places_of(snapshot, name))


def _decided(live: LiveModel) -> LiveModel:
    if live.canary:
        raise InputError(
            f"version {live.canary.version} of {live.name} is a canary, so callers get its answers; finish or abort it "
            f"first, with `ostinato canary {live.name} --finish` or `--abort`"
        )
    return live


def _message(live: LiveModel) -> str:
    subject = f"Retire {live.name}"
    text = f"Version {live.version} was live. The cluster keeps its service until that is deleted there."
    return f"{subject}\n\n{text}\n\n{MODEL}: {live.name}\n{RETIRED}: {live.registered_model}\n"
