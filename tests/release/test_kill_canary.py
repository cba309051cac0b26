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
from delivery.releases.canary import commit_canary, commit_canary_as_live
from delivery.releases.live import live
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
    commit_canary_as_live(SPEC, place.connections)
    reconcile(place.connections, NAME)


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


@pytest.mark.parametrize(
    ("before", "command", "crash_at", "after"),
    [
        *(([], start, at, ("1", "2", "", "1", "")) for at in ("commit written", "commit pushed")),
        *(([start], abort, at, ("1", "", "", "1", "")) for at in ("commit written", "commit pushed")),
        *(
            ([start], finish, at, ("2", "", "", "2", "1"))
            for at in ("commit written", "commit pushed", "champion set", "previous set")
        ),
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
    victim = FORK.Process(target=_killed, args=(crash_at, command, place))
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL, f"{crash_at} was not reached"
    for _ in range(2):
        command(place)
        assert (state(place), place.commits()) == (after, commits + 1)
    assert bare_git(place.manifests, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
