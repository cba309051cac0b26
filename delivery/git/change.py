"""One change of the manifests repository: committed to the live branch, or to a branch that waits for a reviewer."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from delivery.addresses import redact
from delivery.effects import effect
from delivery.git.errors import LostRace, RemoteUnavailable
from delivery.git.history import is_proposed
from delivery.git.repository import LIVE_BRANCH, Repository, Snapshot, open_repository
from delivery.retry import RetryPolicy, retrying
from training.errors import OstinatoError

RACES = RetryPolicy(attempts=41, pause_s=0.04, longest_pause_s=1.0, total_s=600.0)
"""How often a push is tried while other writers are faster."""
OUTAGES = 2
"""How often a push whose outcome is unknown is looked up and tried again."""


@dataclass(frozen=True)
class Change:
    """What is to be changed on the live branch as it is now."""

    path: str
    """The file that it is about."""
    files: Mapping[str, bytes | None]
    """This file's content, and that of others, by path; None for what is taken away."""
    message: str
    branch: str = LIVE_BRANCH
    """Where it is committed."""
    check: Callable[[], None] = lambda: None
    """Called before it is committed; raises what forbids it."""


class Committed(NamedTuple):
    """What came of a change."""

    branch: str
    """The live branch, or the branch that waits for a reviewer."""
    commit: str
    """The commit that makes the change if `changed`, else the branch's tip, which had it already."""
    changed: bool


def commit_change(
    remote: str,
    prepare: Callable[[Snapshot], Change | None],
    proposals: str = "",
    history: bool = False,
    policy: RetryPolicy = RACES,
) -> Committed:
    """Push what ``prepare`` says of the live branch; nothing for None, or where it is proposed already.

    It is called again on fresh state whenever another writer was faster. A push whose answer was lost is looked up by
    the next attempt, so it happens once. proposals: the branches on which it may be proposed, with ``*`` at the end;
    they come with history, which ``history`` brings without them. Raises OstinatoError after a bounded number of lost
    races or outages.
    """
    failures, branch = Counter[type](), LIVE_BRANCH

    def again(error: object) -> bool:
        failures[type(error)] += 1
        outage = isinstance(error, RemoteUnavailable)
        return isinstance(error, LostRace) or (outage and failures[RemoteUnavailable] <= OUTAGES)

    with open_repository(remote) as repository:
        try:
            for push in retrying(policy, again):
                committed, tip = _commit(repository, prepare, proposals, history)
                if not committed.changed:
                    return committed
                branch = committed.branch
                effect("commit written")
                with push:
                    repository.push(committed.commit, branch, tip)
                    effect("commit pushed")
                    return committed
        except LostRace as lost:
            moved = f"branch {branch} of manifests remote {redact(repository.remote)} moved {failures[LostRace]} times"
            raise OstinatoError(f"{moved} in a row; run again. git said: {lost}") from lost
    raise AssertionError


def _commit(
    repository: Repository, prepare: Callable[[Snapshot], Change | None], proposals: str, history: bool
) -> tuple[Committed, str]:
    """The commit, which is not pushed yet, and where its branch is until then, "" for a new one."""
    patterns = [proposals] if proposals else []
    tips = repository.fetch(LIVE_BRANCH, *patterns, history=history or bool(proposals))
    snapshot = Snapshot(repository, tips[LIVE_BRANCH])
    change = prepare(snapshot)
    if change is None:
        return Committed(LIVE_BRANCH, snapshot.commit, changed=False), snapshot.commit
    tip = tips.get(change.branch, "")
    if change.branch != LIVE_BRANCH and tip and is_proposed(snapshot, tip, change.path, change.files):
        return Committed(change.branch, tip, changed=False), tip
    change.check()
    return Committed(change.branch, repository.commit(change.files, change.message, snapshot.commit), changed=True), tip
