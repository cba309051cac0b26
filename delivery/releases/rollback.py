"""The ways back: end a canary, or revert the last release. Both are commits on the live branch, unless one asks for a
reviewer."""

from collections.abc import Callable
from dataclasses import dataclass

from delivery.git.history import file_history, is_proposed
from delivery.git.repository import LIVE_BRANCH, ReleaseMode, Repository, Snapshot, open_repository, transact
from delivery.kserve.canary_and_shadow import ended_canary, settled
from delivery.kserve.manifest import LiveModel, manifest_path, parse
from delivery.releases.environments import PRODUCTION, production_path
from delivery.releases.live import live
from delivery.releases.release import Release
from training.errors import InputError, OstinatoError


@dataclass(frozen=True)
class _State:
    """A manifest that was committed, without the trials that came and went beside it."""

    commit: str
    """That first brought it in."""
    content: bytes
    """b"" where there was none."""


_Target = Callable[[Repository, Snapshot, bytes], tuple[bytes, str]]
"""From what is live to the bytes to commit, and the commit's message."""


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


def rollback(
    manifests_remote: str,
    name: str,
    to: str | None = None,
    environment: str | None = None,
    mode: ReleaseMode = "direct",
) -> Release:
    """End the canary if one runs; else revert the commit that first brought in what is live for the model.

    The old bytes of its manifest come back, without any trial, so the registry's aliases can follow. to: a version
    that was live before, however many releases ago. environment: production takes back what was promoted there, and
    leaves the release as it is. mode: a commit, or a branch for a reviewer. Raises InputError if nothing is live,
    nothing was live before it, or ``to`` never was; OstinatoError if another release of the model lands meanwhile.
    """
    place = _place(name, environment)

    def target(repository: Repository, snapshot: Snapshot, now: bytes) -> tuple[bytes, str]:
        if to is not None:
            return _back_to(repository, snapshot, now, place, to)
        if _canary_of(now, name):
            return _before_canary(repository, snapshot, place), _abort_message(parse(now, name, snapshot.commit))
        states = _states(repository, snapshot, place)
        here = next(at for at, one in enumerate(states) if one.content == _settled_or_raw(now, name))
        before = states[here - 1].content if here else b""
        culprit = states[here].commit
        if not before:
            first = "promotion" if environment else "release"
            raise InputError(
                f"{place.called} can't be rolled back: what is live came with its first {first} "
                f"(commit {culprit[:12]}) and nothing was live before it"
            )
        return before, _revert_message(repository, culprit, parse(before, name, culprit), place)

    return _go_back(manifests_remote, place, target, mode)


def _place(name: str, environment: str | None) -> _Place:
    if environment is None:
        return _Place(name, manifest_path(name), "")
    if environment != PRODUCTION:
        raise InputError(f"--in is {environment!r}; give {PRODUCTION}, or leave it out for what is released")
    return _Place(name, production_path(name), environment)


def _back_to(repository: Repository, snapshot: Snapshot, now: bytes, place: _Place, to: str) -> tuple[bytes, str]:
    """The bytes of the last time that a version was live, and a message with the trailers."""
    name = place.name
    states = [(one, found) for one in _states(repository, snapshot, place) if (found := _version_of(one, name))]
    past = [one for one, found in states if found == to]
    if not past:
        known = ", ".join(dict.fromkeys(found for _, found in states))
        raise InputError(f"--to {to}: version {to} of {place.called} was never live; these were: {known}")
    content = past[-1].content
    if content == _settled_or_raw(now, name):
        return now, ""
    old = parse(content, name, past[-1].commit)
    subject = f"Roll back {place.called} to v{to}"
    return content, f"{subject}\n\nAs committed by {past[-1].commit}.\n\n{_trailers(old, place)}"


def _version_of(state: _State, name: str) -> str:
    """ "" for a file that was not there, or that is broken."""
    try:
        return parse(state.content, name, state.commit).version if state.content else ""
    except InputError:
        return ""


def end_canary(manifests_remote: str, name: str) -> Release:
    """Take the canary out: the live version gets all requests again. Nothing changes if none runs.

    Raises InputError if the model is not live.
    """
    running, place = live(manifests_remote, name), _place(name, None)
    if running is not None and running.canary is None:
        note = f"no canary runs; version {running.version} is live"
        return Release(name, running.version, LIVE_BRANCH, running.commit, changed=False, note=note)

    def target(repository: Repository, snapshot: Snapshot, now: bytes) -> tuple[bytes, str]:
        found = parse(now, name, snapshot.commit)
        if found.canary is None:
            return now, ""
        return _before_canary(repository, snapshot, place), _abort_message(found)

    return _go_back(manifests_remote, place, target, "direct")


def _go_back(manifests_remote: str, place: _Place, target: _Target, mode: ReleaseMode) -> Release:
    """Commit the bytes that ``target`` gives for what is live, with its message; again if another writer was faster."""
    name, path = place.name, place.path
    seen: dict[str, bytes] = {}
    restored: dict[str, bytes] = {}
    at = {"branch": LIVE_BRANCH, "commit": ""}
    with open_repository(manifests_remote) as repository:

        def attempt() -> tuple[str, str, str] | None:
            tips = repository.fetch(LIVE_BRANCH, *([] if mode == "direct" else [f"rollback/{name}/*"]), history=True)
            snapshot = Snapshot(repository, tips[LIVE_BRANCH])
            now = snapshot.read(path).get(path, b"")
            at.update(branch=LIVE_BRANCH, commit=snapshot.commit)
            if restored and now == restored["content"]:
                return None
            if seen.setdefault("content", now) != now:
                raise OstinatoError(
                    f"another release of {name} landed while rolling back; see `ostinato status {name}`"
                )
            if not now:
                raise InputError(f"{place.called} is not live, so there is nothing to roll back; see `ostinato status`")
            content, message = target(repository, snapshot, now)
            restored["content"] = content
            if content == now:
                return None
            if mode == "direct":
                return repository.commit({path: content}, message, snapshot.commit), LIVE_BRANCH, snapshot.commit
            at["branch"] = branch = _branch(place, parse(content, name, snapshot.commit).version)
            if is_proposed(repository, tips, branch, path, content):
                at["commit"] = tips[branch]
                return None
            return repository.commit({path: content}, message, snapshot.commit), branch, tips.get(branch, "")

        pushed = transact(repository, attempt)
    commit = pushed or at["commit"]
    version = parse(restored["content"], name, commit).version
    return Release(name, version, at["branch"], commit, changed=pushed is not None)


def _branch(place: _Place, version: str) -> str:
    return f"rollback/{place.name}/{place.environment or 'release'}-v{version}"


def _states(repository: Repository, snapshot: Snapshot, place: _Place) -> list[_State]:
    """What was live, oldest first, each since the commit that brought it in."""
    changes = file_history(repository, snapshot.commit, place.path)
    contents = repository.blobs({new for _, _, new in changes if new.strip("0")})
    states: list[_State] = []
    for commit, _, new in changes:
        content = contents.get(new, b"")
        plain = _settled_or_raw(content, place.name) if content else b""
        if plain is not None and not (states and states[-1].content == plain):
            states.append(_State(commit, plain))
    return states


def _before_canary(repository: Repository, snapshot: Snapshot, place: _Place) -> bytes:
    """What is committed to end the canary: from what was live just before it."""
    return ended_canary(_states(repository, snapshot, place)[-1].content, place.name)


def _settled_or_raw(content: bytes, name: str) -> bytes | None:
    """A broken file, such as one edited by hand, stands for itself."""
    try:
        return settled(content, name)
    except InputError:
        return content


def _canary_of(content: bytes, name: str) -> bool:
    return _settled_or_raw(content, name) is None


def _abort_message(found: LiveModel) -> str:
    assert found.canary is not None
    subject = f"Abort the canary of {found.name} v{found.canary.version}"
    trailers = f"Ostinato-Model: {found.name}\nOstinato-Version: {found.version}\n"
    return f"{subject}\n\nVersion {found.version} gets all requests again.\n\n{trailers}"


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
