"""At least 200 SIGKILLs at effects that chance picks, several on one release; the same command then finishes."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from exactly_once.attempts import Attempt, Release, attempt, chance, new_release
from exactly_once.invariants import World, all_hold

from delivery.effects import EFFECTS
from delivery.registry.mlflow import mlflow_client
from delivery.releases.live import live
from delivery.releases.reconcile import reconcile
from delivery.releases.rollback import commit_rollback

KILLS = {"laptop": 40, "served": 48}
"""For one round; there are four on the laptop and one beside a server: 208."""
AT_RANDOM_TIMES = 15
MODELS = 3
FAR = 0.1
"""How often an effect is picked that may never come, instead of one of the next."""
NEXT = 5
AGAIN_FROM = {
    "store created": "experiment created",
    "experiment created": "run created",
    "run created": "run described",
    "run described": "run described",
    "run artifacts logged": "run described",
    "run finished": "model created",
    "model created": "model created",
    "model file uploaded": "model created",
    "model uploaded": "model created",
    "model ready": "statement written",
    "statement written": "registered model created",
    "registered model created": "version created",
    "version created": "leftovers deleted",
    "leftovers deleted": "leftovers deleted",
    "candidate set": "commit written",
    "commit written": "commit written",
    "commit pushed": "champion set",
    "champion set": "previous set",
    "previous set": "",
}
"""After a kill at an effect, the first one that the same command comes to."""
ELSEWHERE = ("prompt ", "image ", "signature ", "pull request ", "older proposal ", "rejection ", "environment ")
OTHER_MODELS = [one for one in EFFECTS if one.startswith(ELSEWHERE)]
"""Effects of language models, image registries, keys, forges and environments; their own tests kill after each."""
FIRST_ONLY = ("store created", "experiment created", "registered model created")


class Killing:
    """Releases of a few models, side by side, each killed where chance says until it is through."""

    def __init__(self, world: World, chance: Random, folder: Path, prefix: str) -> None:
        self.world, self.chance, self.folder = world, chance, folder
        self.models = [f"{prefix}-{number}" for number in range(MODELS)]
        self.released: dict[str, list[str]] = {name: [] for name in self.models}
        self.pending: dict[str, Release] = {}
        self.last: dict[str, str] = {}
        self.kills = 0

    def command(self, name: str) -> Release:
        """The release that is under way, or the model's next one."""
        if name not in self.pending:
            weight = len(self.released[name]) + 1
            champion = self.released[name][-1] if self.released[name] else ""
            folder = self.folder / name / str(weight)
            self.pending[name] = new_release(folder, name, self.world.connections, weight, champion)
            self.last[name] = ""
        return self.pending[name]

    def killed_at(self, name: str) -> tuple[str, bool]:
        """An effect, and whether the command must come to it."""
        first = not self.released[name]
        known = [one for one in AGAIN_FROM if one != "store created"]
        order = [one for one in known if (first or one not in FIRST_ONLY) and not (first and one == "previous set")]
        if self.chance.random() < FAR:
            return self.chance.choice(order), False
        start = AGAIN_FROM[self.last[name]] if self.last[name] else known[0]
        ahead = [one for one in order if start and known.index(one) >= known.index(start)]
        return (self.chance.choice(ahead[:NEXT]), True) if ahead else ("candidate set", False)

    def step(self) -> None:
        """Kill one release, or see it through."""
        name = self.chance.choice(self.models)
        command = self.command(name)
        crash_at, sure = self.killed_at(name)
        outcome = attempt(command, crash_at)
        if outcome.ended == "killed":
            self.kills += 1
            self.last[name] = crash_at
        else:
            assert outcome.ended == "done", f"{name} after {self.last[name]!r}: {outcome}"
            assert not sure, f"{name} was to be killed at {crash_at!r} after {self.last[name]!r}, but never came to it"
            self.through(name)

    def through(self, name: str) -> None:
        """Note that the release is live, and as which version."""
        del self.pending[name]
        now = live(str(self.world.manifests), name)
        assert now
        self.released[name].append(now.version)

    def finish(self) -> None:
        """Run what is under way again, without a kill, and compare everything."""
        for name in list(self.pending):
            outcome = attempt(self.pending[name])
            assert outcome.ended == "done", f"{name} after {self.last[name]!r}: {outcome}"
            self.through(name)
        for name, versions in self.released.items():
            assert versions == [str(number + 1) for number in range(len(versions))], f"{name}: {versions}"
        all_hold(self.world, {name: versions for name, versions in self.released.items() if versions})


def _until(killing: Killing, kills: int) -> None:
    while killing.kills < kills:
        killing.step()
    killing.finish()


def test_every_effect_has_its_place_in_the_order_of_kills() -> None:
    assert [*AGAIN_FROM] == [one for one in EFFECTS if one not in OTHER_MODELS]


@pytest.mark.parametrize("round", range(4))
def test_kills_at_random_effects_on_the_laptop_leave_everything_once(round: int, laptop: World, tmp_path: Path) -> None:
    _until(Killing(laptop, chance(), tmp_path, "killed"), KILLS["laptop"])


def test_kills_at_random_effects_beside_a_real_server_leave_everything_once(served: World, tmp_path: Path) -> None:
    _until(Killing(served, chance(), tmp_path, "killed"), KILLS["served"])


@pytest.mark.parametrize("where", ["laptop", "served"])
def test_kills_at_random_times_leave_everything_once(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    world: World = request.getfixturevalue(where)
    mlflow_client(world.tracking_uri)
    killing = Killing(world, chance(), tmp_path, "any-time")
    name = killing.models[0]
    outcome = attempt(killing.command(name))
    assert outcome.ended == "done", outcome
    killing.through(name)
    while killing.kills < AT_RANDOM_TIMES:
        name = killing.chance.choice(killing.models)
        command = killing.command(name)
        last = Attempt(command).kill_after(killing.chance.uniform(0, outcome.seconds))
        assert last.ended in ("killed", "done"), f"{name}: {last}"
        if last.ended == "killed":
            killing.kills += 1
        else:
            killing.through(name)
    killing.finish()


@dataclass(frozen=True)
class GoBack:
    """What `ostinato rollback MODEL --to N` does."""

    world: World
    name: str
    to: str

    def __call__(self) -> None:
        commit_rollback(self.world.remote, self.name, self.to)
        reconcile(self.world.connections, self.name)


def test_a_rollback_to_a_named_version_that_is_killed_at_every_effect_is_one_commit(
    laptop: World, tmp_path: Path
) -> None:
    killing = Killing(laptop, chance(), tmp_path, "taken-back")
    name = killing.models[0]
    for _ in range(3):
        assert attempt(killing.command(name)).ended == "done"
        killing.through(name)
    command = GoBack(laptop, name, "1")
    for crash_at in ("commit written", "commit pushed", "champion set"):
        assert attempt(command, crash_at).ended == "killed", crash_at
    assert [attempt(command).ended for _ in range(2)] == ["done", "done"]
    now = live(laptop.remote, name)
    assert now and now.version == "1"
    all_hold(laptop, {name: ["1", "2", "3", "1"]})
