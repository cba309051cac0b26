"""Releases while the MLflow server and the git server answer slowly, wrongly, half or not at all, at random.

A command either ends well or says one clear thing, and is simply run again. OSTINATO_TEST_WEATHER_S is how long it
goes on, in seconds: 30 unless given; docs/reference/guarantees.md has the command for longer.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from exactly_once.attempts import Attempt, Release, chance, new_release
from exactly_once.invariants import World, all_hold
from exactly_once.weather import BAD, BadWeather

from delivery.registry.mlflow import mlflow_client
from delivery.releases.live import live, open_proposals
from delivery.releases.reconcile import reconcile

LASTS = "OSTINATO_TEST_WEATHER_S"
LASTS_S = 30.0
BAD_SHARE = 0.12
MODELS, PROPOSED = 3, "storm-proposed"
TRIES = 40
"""How often one release is run before the test says that it never comes through."""
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "OSTINATO_GIT_TIMEOUT": "10",
}
"""Less than the defaults, so that commands fail more often, and sooner."""
HANGS_S = 60.0
"""No attempt may last longer."""


@pytest.fixture
def sky() -> Random:
    return chance()


@pytest.fixture
def storm(served: World, sky: Random) -> Iterator[tuple[World, tuple[BadWeather, BadWeather]]]:
    """The served world behind a proxy before each server."""
    git_root, _, repository = served.remote.rpartition("/")
    with (
        BadWeather(served.tracking_uri, sky, BAD_SHARE) as before_mlflow,
        BadWeather(git_root, sky, BAD_SHARE) as before_git,
    ):
        proxies = before_mlflow, before_git
        yield World(before_mlflow.url, f"{before_git.url}/{repository}", served.manifests), proxies


def _run_until_done(release: Release) -> Counter[str]:
    """Run it again and again, and count how it ended."""
    ends: Counter[str] = Counter()
    for _ in range(TRIES):
        outcome = Attempt(release, PATIENCE).end(HANGS_S)
        ends[outcome.ended] += 1
        if outcome.ended == "done":
            return ends
        assert outcome.ended == "refused", f"{outcome.ended} in {outcome.seconds:.1f} s: {outcome.said}"
        assert "can't be" in outcome.said or "did not answer" in outcome.said, outcome.said
    pytest.fail(f"{release.name} did not come through in {TRIES} tries")


def _all_seen(proxies: Sequence[BadWeather]) -> bool:
    """Whether everything bad has happened."""
    return sum((proxy.seen for proxy in proxies), Counter()).keys() >= set(BAD)


def test_releases_in_bad_weather_come_through_once_and_fail_with_one_clear_message(
    served: World, storm: tuple[World, tuple[BadWeather, BadWeather]], sky: Random, tmp_path: Path
) -> None:
    world, proxies = storm
    mlflow_client(world.tracking_uri)
    released: dict[str, list[str]] = {f"storm-{number}": [] for number in range(MODELS)}
    weights: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    deadline = time.monotonic() + float(os.environ.get(LASTS) or LASTS_S)
    while time.monotonic() < deadline or not _all_seen(proxies):
        name = sky.choice([*released, PROPOSED])
        weights[name] += 1
        champion = versions[-1] if (versions := released.get(name)) else ""
        mode = "pull-request" if name == PROPOSED else "direct"
        folder = tmp_path / name / str(weights[name])
        release = new_release(folder, name, world.connections, weights[name], champion, mode)
        ends += _run_until_done(release)
        if name in released:
            now = live(str(served.manifests), name)
            assert now and now.version not in released[name]
            released[name].append(now.version)
        else:
            proposed = [one for one in open_proposals(str(served.manifests)) if one.model == name]
            assert len(proposed) == weights[name]
    print(dict(ends), *(dict(proxy.seen) for proxy in proxies))
    assert ends["refused"], "the weather was too fair to say anything"
    all_hold(served, {name: released.get(name, []) for name in weights})
    assert reconcile(served.connections) == []
