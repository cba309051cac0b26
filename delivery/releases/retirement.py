"""Taking a model out: one commit that removes its folders from the manifests repository."""

from dataclasses import dataclass

from delivery.git.history import MODEL, RETIRED, file_history
from delivery.git.repository import LIVE_BRANCH, ReleaseMode, Repository, Snapshot, open_repository, transact
from delivery.kserve.manifest import LiveModel, manifest_path
from delivery.kserve.parse import parse
from delivery.releases.places import ending_commands, places_of
from training.errors import InputError, OstinatoError


@dataclass(frozen=True)
class Retirement:
    """What a retirement came to in git; the cluster keeps the service until the commands are typed."""

    model: str
    version: str
    """That was live last."""
    registered_model: str
    branch: str
    """The live branch, or the branch that waits for a reviewer."""
    commit: str
    changed: bool
    commands: tuple[str, ...]
    """They end Application and service, in this order."""
    pull_request: str = ""
    """Address of the open one, "" without one."""
    note: str = ""


def commit_retirement(manifests_remote: str, name: str, mode: ReleaseMode = "direct") -> Retirement:
    """Take the folders of a model out, of models/ and of every environment: one commit, there or proposed.

    Again changes nothing, and says the same commands. Raises InputError if the model never was live or a canary runs;
    OstinatoError if a release of the model lands meanwhile.
    """
    path = manifest_path(name)
    seen: dict[str, bytes] = {}
    last: list[tuple[LiveModel, tuple[str, ...]]] = []
    at = {"branch": LIVE_BRANCH, "commit": ""}
    with open_repository(manifests_remote) as repository:

        def attempt() -> tuple[str, str, str] | None:
            tips = repository.fetch(LIVE_BRANCH, *([] if mode == "direct" else [f"retire/{name}/*"]), history=True)
            snapshot = Snapshot(repository, tips[LIVE_BRANCH])
            content = snapshot.read(path).get(path)
            if content is not None and seen.setdefault("content", content) != content:
                raise OstinatoError(f"a release of {name} landed while retiring it; see `ostinato status {name}`")
            live = _decided(_last(repository, snapshot, name, last))
            at.update(branch=LIVE_BRANCH, commit=snapshot.commit)
            paths = model_paths(snapshot, name)
            if not paths:
                return None
            branch = LIVE_BRANCH if mode == "direct" else f"retire/{name}/v{live.version}"
            tip = tips.get(branch, "")
            if mode != "direct":
                at["branch"] = branch
                if tip and _is_proposed(repository, snapshot, tip, name):
                    at["commit"] = tip
                    return None
            commit = repository.commit(dict.fromkeys(paths), _message(live), snapshot.commit)
            return commit, branch, tip

        pushed = transact(repository, attempt)
    live, commands = last[-1]
    commit = pushed or at["commit"]
    return Retirement(name, live.version, live.registered_model, at["branch"], commit, pushed is not None, commands)


def model_paths(snapshot: Snapshot, name: str) -> list[str]:
    """Every file of the model's folders, in models/ and in every environment."""
    paths = snapshot.paths(f"models/{name}", "environments")
    return sorted(path for path in paths if path.startswith("models/") or path.split("/")[2:3] == [name])


def _last(
    repository: Repository, snapshot: Snapshot, name: str, last: list[tuple[LiveModel, tuple[str, ...]]]
) -> LiveModel:
    """What is live, or was until it was taken out; with the commands of its places."""
    path = manifest_path(name)
    where = snapshot
    if path not in snapshot.paths(path):
        history = file_history(repository, snapshot.commit, path)
        if not history:
            raise InputError(f"{name} never was live, so there is nothing to retire; see `ostinato status`")
        where = Snapshot(repository, f"{history[-1][0]}^")
    live = parse(where.read(path)[path], name, where.commit).served
    last.append((live, ending_commands(places_of(where, name))))
    return live


def _decided(live: LiveModel) -> LiveModel:
    if live.canary:
        raise InputError(
            f"version {live.canary.version} of {live.name} is a canary, so callers get its answers; finish or abort it "
            f"first, with `ostinato canary {live.name} --finish` or `--abort`"
        )
    return live


def _is_proposed(repository: Repository, snapshot: Snapshot, tip: str, name: str) -> bool:
    """Whether the branch takes out what is there now; one that was merged, before the model came back, does not."""
    path = manifest_path(name)
    same = Snapshot(repository, f"{tip}^").read(path) == snapshot.read(path)
    merged = any(not new.strip("0") for _, _, new in file_history(repository, f"{tip}..{snapshot.commit}", path))
    return same and not merged and not model_paths(Snapshot(repository, tip), name)


def _message(live: LiveModel) -> str:
    subject = f"Retire {live.name}"
    text = f"Version {live.version} was live. The cluster keeps its service until that is deleted there."
    return f"{subject}\n\n{text}\n\n{MODEL}: {live.name}\n{RETIRED}: {live.registered_model}\n"
