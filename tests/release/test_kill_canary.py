"""SIGKILL while a canary or a shadow starts, finishes or ends; the same command then finishes it, with one commit."""

import os
import signal
from collections.abc import Callable

import pytest
from harness.candidates import bare_git, model_spec
from harness.registered import Place
from release.test_kill import BOUND_S, FORK

from delivery.effects import CRASH_AT
from delivery.registry.lookup import registry
from delivery.releases.canary import commit_canary
from delivery.releases.live import live
from delivery.releases.operations import finish_canary
from delivery.releases.reconcile import reconcile
from delivery.releases.rollback import commit_canary_end
from delivery.releases.shadow import commit_shadow, commit_shadow_end

NAME = "bike-demand"
GATEWAY = {"name": "public", "namespace": "gateways", "hostname": "bikes.example.org"}
SPEC = model_spec(serving={"gateway": GATEWAY})
Command = Callable[[Place], object]


def start(place: Place) -> None:
    commit_canary(SPEC, place.connections, 10, "2")
    reconcile(place.connections, NAME)


def finish(place: Place) -> None:
    """As with a cluster that rolls the version out at once: both steps in one call."""
    finish_canary(SPEC, place.connections, wait=lambda: "")


def abort(place: Place) -> None:
    commit_canary_end(place.remote, NAME)
    reconcile(place.connections, NAME)


def shadow(place: Place) -> None:
    commit_shadow(SPEC, place.connections, "3")


def unshadow(place: Place) -> None:
    commit_shadow_end(place.remote, NAME)


def _killed(crash_at: str, command: Command, place: Place) -> None:
    os.environ[CRASH_AT] = crash_at
    command(place)


def state(place: Place) -> tuple[str, str, str, str, str]:
    """Live by git, canary, shadow; champion and previous by the registry."""
    found = live(place.remote, NAME)
    assert found
    aliases = registry(place.tracking_uri).aliases(NAME)
    beside = (one.version if one else "" for one in (found.canary, found.shadow))
    return (found.version, *beside, aliases.get("champion", ""), aliases.get("previous", ""))


def _kill(crash_at: str, command: Command, place: Place) -> None:
    """Run the command in a process that dies at the named effect."""
    victim = FORK.Process(target=_killed, args=(crash_at, command, place))
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL, f"{crash_at} was not reached"


@pytest.mark.parametrize(
    ("before", "command", "crash_at", "after"),
    [
        *(([], start, at, ("1", "2", "", "1", "")) for at in ("commit written", "commit pushed")),
        *(([start], abort, at, ("1", "", "", "1", "")) for at in ("commit written", "commit pushed")),
        *(([], shadow, at, ("1", "", "3", "1", "")) for at in ("commit written", "commit pushed")),
        *(([shadow], unshadow, at, ("1", "", "", "1", "")) for at in ("commit written", "commit pushed")),
    ],
)
def test_a_kill_leaves_a_state_from_which_the_same_command_finishes_with_one_commit(
    place: Place, before: list[Command], command: Command, crash_at: str, after: tuple[str, ...]
) -> None:
    place.release("1")
    reconcile(place.connections)
    for one in before:
        one(place)
    commits = place.commits()
    _kill(crash_at, command, place)
    for _ in range(2):
        command(place)
        assert (state(place), place.commits()) == (after, commits + 1)
    assert bare_git(place.manifests, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


BETWEEN = ("2", "2", "", "1", "")
"""The version is live beside its canary, and the aliases wait."""


@pytest.mark.parametrize(
    ("calls", "crash_at", "left"),
    [
        (0, "commit written", ("1", "2", "", "1", "")),
        (0, "commit pushed", BETWEEN),
        (1, "commit written", BETWEEN),
        (1, "commit pushed", ("2", "", "", "1", "")),
        (1, "champion set", ("2", "", "", "2", "")),
        (1, "previous set", ("2", "", "", "2", "1")),
    ],
)
def test_a_kill_while_a_canary_finishes_leaves_a_step_that_the_next_call_goes_on_from(
    place: Place, calls: int, crash_at: str, left: tuple[str, ...]
) -> None:
    place.release("1")
    reconcile(place.connections)
    start(place)
    commits = place.commits()
    for _ in range(calls):
        finish_canary(SPEC, place.connections, wait=lambda: "no cluster")
    _kill(crash_at, finish, place)
    assert state(place) == left
    for _ in range(2):
        finish(place)
        assert (state(place), place.commits()) == (("2", "", "", "2", "1"), commits + 2)
