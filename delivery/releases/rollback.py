"""The ways back: end a canary, or revert the last release. Both are commits on the live branch, unless one asks for a
reviewer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from delivery.git.change import Change, commit_change
from delivery.git.history import file_history
from delivery.git.repository import LIVE_BRANCH, ReleaseMode, Repository, Snapshot
from delivery.kserve.changes import settle, without_canary
from delivery.kserve.manifest import LiveModel, Manifest, manifest_path
from delivery.kserve.parse import parse
from delivery.releases.environments import PRODUCTION, production_path
from delivery.releases.live import live
from delivery.releases.release import Release
from training.errors import InputError, OstinatoError


@dataclass(frozen=True)
class _File:
    """A model's manifest file as it was committed."""

    name: str
    content: bytes
    """b"" where there was none."""
    commit: str

    @cached_property
    def manifest(self) -> Manifest | None:
        """None for a file that was not there, or that is broken, such as one edited by hand."""
        try:
            return parse(self.content, self.name, self.commit) if self.content else None
        except InputError:
            return None

    @cached_property
    def settled(self) -> bytes | None:
        """The file without what canary and shadow left in it, None while a canary runs. A broken one stands for
        itself."""
        if self.manifest is None:
            return self.content
        plain = settle(self.manifest)
        return plain.content if plain else None

    def served(self) -> LiveModel:
        """What it says. Raises InputError for a broken one."""
        return (self.manifest or parse(self.content, self.name, self.commit)).served


@dataclass(frozen=True)
class _Restored:
    """What a rollback brings back."""

    content: bytes
    version: str
    message: str
    """Of its commit."""


_State = tuple[str, _File]
"""What was live, and the commit that brought it in."""
_Target = Callable[[Snapshot, _File], _Restored]
"""From what is live to what comes back."""


@dataclass(frozen=True)
class _Place:
    """Which of a model's manifests is taken back."""

    name: str
    path: str
    environment: str
    """"" for what is released, which staging runs."""

    @property
    def called(self) -> str:
        return f"{self.name} in {self.environment}" if self.environment else self.name


def commit_rollback(
    manifests_remote: str,
    name: str,
    to: str | None = None,
    environment: str | None = None,
    mode: ReleaseMode = "direct",
) -> Release:
    """End the canary if one runs; else revert the commit that first brought in what is live for the model.

    The old bytes of its manifest come back, without canary and shadow, so the registry's aliases can follow. to: a
    version that was live before, however many releases ago. environment: production takes back what was promoted
    there, and leaves the release as it is. mode: a commit, or a branch for a reviewer. Raises InputError if nothing is
    live, nothing was live before it, or ``to`` never was; OstinatoError if another release of the model lands
    meanwhile.
    """
    place = _place(name, environment)

    def target(snapshot: Snapshot, now: _File) -> _Restored:
        states = _states(snapshot, place, now)
        if to is not None:
            return _back_to(states, now, place, to)
        if now.settled is None:
            return _without_canary(states, now)
        live_since = next(at for at, (_, file) in enumerate(states) if file.settled == now.settled)
        culprit = states[live_since][0]
        before = states[live_since - 1][1] if live_since else None
        if before is None or not before.settled:
            first = "promotion" if environment else "release"
            raise InputError(
                f"{place.called} can't be rolled back: what is live came with its first {first} "
                f"(commit {culprit[:12]}) and nothing was live before it"
            )
        old = before.served()
        return _Restored(before.settled, old.version, _revert_message(snapshot.repository, culprit, old, place))

    return _go_back(manifests_remote, place, target, mode)


def _place(name: str, environment: str | None) -> _Place:
    if environment is None:
        return _Place(name, manifest_path(name), "")
    if environment != PRODUCTION:
        raise InputError(f"--in is {environment!r}; give {PRODUCTION}, or leave it out for what is released")
    return _Place(name, production_path(name), environment)


def _back_to(states: list[_State], now: _File, place: _Place, to: str) -> _Restored:
    """The last time that a version was live, and a message with the trailers."""
    past = [(commit, file, file.manifest.served) for commit, file in states if file.manifest]
    matching = [state for state in past if state[2].version == to]
    if not matching:
        known = ", ".join(dict.fromkeys(served.version for _, _, served in past))
        raise InputError(f"--to {to}: version {to} of {place.called} was never live; these were: {known}")
    commit, file, served = matching[-1]
    if file.settled is None or file.settled == now.settled:
        return _Restored(now.content, to, "")
    message = f"Roll back {place.called} to v{to}\n\nAs committed by {commit}.\n\n{_trailers(served, place)}"
    return _Restored(file.settled, to, message)


def commit_canary_end(manifests_remote: str, name: str) -> Release:
    """Take the canary out: the live version gets all requests again. Nothing changes if none runs.

    Raises InputError if the model is not live.
    """
    running, place = live(manifests_remote, name), _place(name, None)
    if running is not None and running.canary is None:
        note = f"no canary runs; version {running.version} is live"
        return Release(name, running.version, LIVE_BRANCH, running.commit, changed=False, note=note)

    def target(snapshot: Snapshot, now: _File) -> _Restored:
        served = now.served()
        if served.canary is None:
            return _Restored(now.content, served.version, "")
        return _without_canary(_states(snapshot, place, now), now)

    return _go_back(manifests_remote, place, target, "direct")


def _go_back(manifests_remote: str, place: _Place, target: _Target, mode: ReleaseMode) -> Release:
    """Commit what ``target`` gives for what is live, with its message; again if another writer was faster."""
    name, path = place.name, place.path
    seen: list[bytes] = []
    restored: list[_Restored] = []

    def restore(snapshot: Snapshot) -> Change | None:
        now = _File(name, snapshot.read(path).get(path, b""), snapshot.commit)
        if restored and now.content == restored[-1].content:
            return None
        seen.append(now.content)
        if now.content != seen[0]:
            raise OstinatoError(f"another release of {name} landed while rolling back; see `ostinato status {name}`")
        if not now.content:
            raise InputError(f"{place.called} is not live, so there is nothing to roll back; see `ostinato status`")
        back = target(snapshot, now)
        restored.append(back)
        branch = f"rollback/{name}/{place.environment or 'release'}-v{back.version}"
        branch = LIVE_BRANCH if mode == "direct" else branch
        return Change(path, {path: back.content}, back.message, branch) if back.content != now.content else None

    proposals = "" if mode == "direct" else f"rollback/{name}/*"
    committed = commit_change(manifests_remote, restore, proposals, history=True)
    return Release(name, restored[-1].version, *committed)


def _states(snapshot: Snapshot, place: _Place, now: _File) -> list[_State]:
    """What was live, oldest first, each since the commit that brought it in; what had a canary beside it is left
    out."""
    changes = file_history(snapshot.repository, snapshot.commit, place.path)
    contents = snapshot.repository.blobs({new for _, _, new in changes if new.strip("0")})
    files = {now.content: now}
    states: list[_State] = []
    for commit, _, new in changes:
        content = contents.get(new, b"")
        file = files.setdefault(content, _File(place.name, content, commit))
        if file.settled is not None and not (states and states[-1][1].settled == file.settled):
            states.append((commit, file))
    return states


def _without_canary(states: list[_State], now: _File) -> _Restored:
    """What is committed to end the canary: from what was live just before it, also when it takes over already."""
    running, before = now.served(), states[-1][1]
    plain = settle(before.manifest) if before.manifest else None
    content = without_canary(plain).content if plain else before.content
    version = before.manifest.served.version if before.manifest else running.version
    return _Restored(content, version, _abort_message(running, version))


def _abort_message(running: LiveModel, version: str) -> str:
    """version: that is live again, or still."""
    assert running.canary is not None
    subject = f"Abort the canary of {running.name} v{running.canary.version}"
    trailers = f"Ostinato-Model: {running.name}\nOstinato-Version: {version}\n"
    return f"{subject}\n\nVersion {version} gets all requests again.\n\n{trailers}"


def _revert_message(repository: Repository, culprit: str, old: LiveModel, place: _Place) -> str:
    """The message that `git revert` writes, and the trailers."""
    parents, _, subject = (
        repository.git("show", "--no-patch", "--format=%P%n%s", culprit).decode().strip().partition("\n")
    )
    others = parents.split()
    merge = f", reversing\nchanges made to {others[0]}" if len(others) > 1 else ""
    return f'Revert "{subject}"\n\nThis reverts commit {culprit}{merge}.\n\n{_trailers(old, place)}'


def _trailers(old: LiveModel, place: _Place) -> str:
    where = f"Ostinato-Environment: {place.environment}\n" if place.environment else ""
    named = f"Ostinato-Model: {old.name}\nOstinato-Version: {old.version}\n"
    return f"{named}{where}Ostinato-Verdict: {old.verdict_digest}\n"
