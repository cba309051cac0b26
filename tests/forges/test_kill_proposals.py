"""SIGKILL right after each effect at the forge; the same command then finishes, with one open pull request."""

import multiprocessing
import os
import signal
from typing import Any

import pytest
from forges.conftest import Desk, Start

from delivery.effects import CRASH_AT
from delivery.registry.lookup import registry
from delivery.registry.versions import REJECTED_TAG

FORK = multiprocessing.get_context("fork")
BOUND_S = 120.0
SPEC: dict[str, Any] = {"release": {"labels": ["model"], "reviewers": ["bob"]}}


def killed(desk: Desk, crash_at: str, version: str) -> None:
    os.environ[CRASH_AT] = crash_at
    desk.run(version, **SPEC)


def kill(desk: Desk, crash_at: str, version: str) -> None:
    victim = FORK.Process(target=killed, args=(desk, crash_at, version))
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL, f"{crash_at} was not reached"


AT_GITHUB = ("commit pushed", "pull request opened", "pull request updated", "older proposal superseded")
OTHERS = [(kind, crash_at) for kind in ("gitlab", "gitea") for crash_at in AT_GITHUB[1:2]]


@pytest.mark.parametrize(("kind", "crash_at"), [*(("github", one) for one in AT_GITHUB), *OTHERS])
def test_a_kill_at_the_forge_leaves_one_open_pull_request(kind: str, crash_at: str, start: Start) -> None:
    desk = start(kind)
    desk.run("1", **SPEC)
    if crash_at == "pull request updated":
        kill(desk, "pull request opened", "2")
        desk.forge.pulls[1].body = "half a text"
    kill(desk, crash_at, "2")
    desk.run("2", **SPEC)
    old, new = desk.forge.pulls
    assert (old.state, new.state, new.labels, new.reviewers) == ("closed", "open", ["model"], ["bob"])
    assert len(old.comments) == 1 and "mae" in new.body


@pytest.mark.parametrize("crash_at", ["rejection set", "rejection removed"])
def test_a_kill_while_marking_leaves_the_mark_that_the_forge_says(crash_at: str, github: Desk) -> None:
    github.run("1")
    github.forge.close_by("ann", 1, "no")
    if crash_at == "rejection removed":
        kill(github, "rejection set", "1")
        github.forge.pulls[0].state = "open"
    kill(github, crash_at, "1")
    tags = registry(github.place.tracking_uri).versions("bike-demand")[0].tags
    assert (REJECTED_TAG in tags) == (crash_at == "rejection set")
