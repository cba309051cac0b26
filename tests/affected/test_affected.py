"""`ostinato affected` on real git histories."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Finished, run_ostinato

from pipelines.affected import affected_models
from training.errors import InputError

ROOT = Path(__file__).parents[2]
FORECASTER, LANGUAGE = "demand-forecaster", "llm-qa"
SPEC = "training/demand_forecaster/spec.yaml"
Change = Callable[[], None]


class Checkout:
    """A repository with both models, of which every change is a commit."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        for model in ("demand_forecaster", "llm_qa"):
            self.write(f"training/{model}/spec.yaml", (ROOT / "training" / model / "spec.yaml").read_text())
            self.write(f"training/{model}/model.py", "def train(): ...\n")
        self.write("training/demand_forecaster/data/hourly.parquet", "rows")
        self.write("training/llm_qa/prompts/system.md", "Answer.\n")
        self.write("components/evaluate/steps.py", "")
        self.write("docs/benchmarks.md", "")
        self.commit("all")

    def git(self, *arguments: str) -> str:
        names = {
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
        }
        env = {**os.environ, **names, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self.root.parent)}
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def affected(self, commits: str = "HEAD~1..HEAD") -> dict[str, tuple[str, ...]]:
        return {one.model: one.because for one in affected_models(self.root, commits)}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "checkout").mkdir()
    return Checkout(tmp_path / "checkout")


@pytest.mark.parametrize(
    ("path", "models"),
    [
        ("training/demand_forecaster/model.py", {FORECASTER}),
        ("training/demand_forecaster/features/calendar.py", {FORECASTER}),
        ("training/demand_forecaster/data/hourly.parquet", {FORECASTER}),
        ("training/llm_qa/prompts/system.md", {LANGUAGE}),
        ("training/spec.py", {FORECASTER, LANGUAGE}),
        ("components/evaluate/steps.py", {FORECASTER, LANGUAGE}),
        ("components/serving/runtimes.yaml", {FORECASTER, LANGUAGE}),
        ("pipelines/continuous_training.py", {FORECASTER, LANGUAGE}),
        ("requirements.lock", {FORECASTER, LANGUAGE}),
        ("requirements-llm.lock", {LANGUAGE}),
        ("training/finetuning/options.py", {LANGUAGE}),
        ("components/deploy/render.py", set()),
        ("components/register/steps.py", set()),
        ("pipelines/cli.py", set()),
        ("docs/benchmarks.md", set()),
        ("tests/evaluate/test_steps.py", set()),
        ("training/demand_forecaster/notes.ipynb", set()),
        ("cloudbuild.yaml", set()),
        ("training/README.md", set()),
    ],
)
def test_a_changed_file_affects_the_models_whose_result_it_decides(
    path: str, models: set[str], checkout: Checkout
) -> None:
    checkout.write(path, "changed\n")
    checkout.commit("change")
    found = checkout.affected()
    assert set(found) == models
    assert all(because == (path,) for because in found.values())


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("learning_rate: 0.1", "learning_rate: 0.2", ("training",)),
        ("max: 10000", "max: 20000", ("data",)),
        ("margin: 0.02", "margin: 0.01", ("quality",)),
        ("max_replicas: 3", "max_replicas: 4", ("serving",)),
        ("name: demand-forecaster", "# by hand\nname: demand-forecaster", ()),
        ("{type: int, unit", "{ type: int , unit", ()),
        ("\nserving:", "\nschedule: {cron: 0 3 * * 1}\nserving:", ()),
        ("\nserving:", "\nsteps: {train: {retries: 2}}\nserving:", ()),
    ],
)
def test_of_a_spec_its_content_counts(old: str, new: str, parts: tuple[str, ...], checkout: Checkout) -> None:
    checkout.edit(SPEC, old, new)
    checkout.commit("change")
    expected = {FORECASTER: tuple(f"{SPEC}: {part}" for part in parts)} if parts else {}
    assert checkout.affected() == expected


def test_a_new_model_is_affected_and_a_removed_one_is_named_as_such(checkout: Checkout) -> None:
    text = (checkout.root / SPEC).read_text().replace("name: demand-forecaster", "name: demand-two")
    checkout.git("rm", "-r", "--quiet", "training/llm_qa")
    checkout.write("training/demand_two/spec.yaml", text)
    checkout.commit("change")
    found = {one.model: one for one in affected_models(checkout.root, "HEAD~1..HEAD")}
    assert set(found) == {"demand-two", LANGUAGE}
    assert not found["demand-two"].removed and found[LANGUAGE].removed
    told = run_ostinato(checkout.root, "affected", "HEAD~1..HEAD")
    assert told.out == "demand-two\n", "a script trains what stands on standard output"
    assert "llm-qa: removed, nothing to train" in told.err


def test_a_moved_file_affects_the_model_that_it_left(checkout: Checkout) -> None:
    checkout.git("mv", "training/demand_forecaster/model.py", "docs/model.py")
    checkout.commit("move")
    assert set(checkout.affected()) == {FORECASTER}


def test_a_merge_is_compared_with_either_parent_and_a_pull_request_with_where_it_began(checkout: Checkout) -> None:
    checkout.git("switch", "--quiet", "--create", "feature")
    checkout.write("training/llm_qa/model.py", "changed\n")
    checkout.commit("feature")
    checkout.git("switch", "--quiet", "main")
    checkout.write("training/demand_forecaster/model.py", "changed\n")
    checkout.commit("main moves on")
    assert set(checkout.affected("main...feature")) == {LANGUAGE}
    assert set(checkout.affected("main..feature")) == {FORECASTER, LANGUAGE}
    checkout.git("merge", "--quiet", "--no-edit", "feature")
    assert set(checkout.affected("HEAD^1..HEAD")) == {LANGUAGE}
    assert set(checkout.affected("HEAD^2..HEAD")) == {FORECASTER}


def test_a_change_that_is_taken_back_in_the_range_affects_nothing(checkout: Checkout) -> None:
    checkout.write("training/demand_forecaster/model.py", "changed\n")
    checkout.commit("change")
    checkout.git("revert", "--no-edit", "HEAD")
    assert checkout.affected("HEAD~2..HEAD") == {}


def test_what_is_not_committed_does_not_count(checkout: Checkout) -> None:
    checkout.commit("nothing")
    checkout.write("training/demand_forecaster/model.py", "changed\n")
    assert checkout.affected() == {}


@pytest.mark.parametrize("commits", ["HEAD", "HEAD~1..", "..HEAD", "--all..HEAD", "a b..HEAD", ""])
def test_what_is_no_range_is_refused(commits: str, checkout: Checkout) -> None:
    with pytest.raises(InputError, match=r"write BASE\.\.HEAD"):
        checkout.affected(commits)


def test_an_unknown_commit_is_refused_by_name(checkout: Checkout) -> None:
    with pytest.raises(InputError, match="'0123456' is no commit"):
        checkout.affected("0123456..HEAD")


def test_a_shallow_clone_says_how_to_get_the_rest(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit("second")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{checkout.root}", str(tmp_path / "shallow")], check=True
    )
    with pytest.raises(InputError, match="git fetch --unshallow"):
        affected_models(tmp_path / "shallow", "HEAD~1..HEAD")


def test_a_folder_outside_git_says_so(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    told: Finished = run_ostinato(tmp_path, "affected", "HEAD~1..HEAD", GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert (told.code, told.out) == (2, "") and "is no git repository" in told.err


def test_a_spec_that_is_wrong_at_head_is_refused_and_one_that_was_wrong_before_is_affected(
    checkout: Checkout,
) -> None:
    good = (checkout.root / SPEC).read_text()
    checkout.write(SPEC, good.replace("task: regression", "task: regresion"))
    checkout.commit("wrong")
    with pytest.raises(InputError, match=r"training/demand_forecaster/spec.yaml of [0-9a-f]{12}"):
        checkout.affected()
    checkout.write(SPEC, good)
    checkout.commit("right")
    assert checkout.affected() == {FORECASTER: (f"{SPEC}: was wrong before",)}


def test_reasons_are_there_for_machines(checkout: Checkout) -> None:
    checkout.write("training/spec.py", "changed\n")
    checkout.commit("change")
    told = json.loads(run_ostinato(checkout.root, "affected", "HEAD~1..HEAD", "--json").out)
    assert told == [
        {"model": name, "because": ["training/spec.py"], "removed": False} for name in (FORECASTER, LANGUAGE)
    ]
