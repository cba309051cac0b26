"""What a change affects, told by real histories: no model too many, and none too few."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from ci.conftest import OURS, History
from harness.command_line import run_ostinato

from pipelines.package.affected import affected
from training.errors import InputError

BIKES, TALK = "demand-forecaster", "llm-qa"


def steps(history: History, span: str = "base..HEAD") -> dict[str, str]:
    return {one.model: one.step for one in affected(history.root, span)[1]}


@dataclass(frozen=True)
class Edit:
    """A change of one file: a text replaced, or lines added where there is nothing to replace."""

    path: str
    new: str
    old: str = ""

    def make(self, history: History) -> None:
        if self.old:
            history.edit(self.path, self.old, self.new)
        else:
            history.append(self.path, self.new)


NOTHING = {
    "a text": Edit("docs/how-to/serving.md", "More words.\n"),
    "a comment of the build": Edit("cloudbuild.yaml", "# A comment.\n"),
    "a model's README": Edit(f"{OURS}/README.md", "# Bikes\n"),
    "a README of its data": Edit(f"{OURS}/data/README.md", "\nMore words.\n"),
    "a comment of the spec": Edit(f"{OURS}/spec.yaml", "\n# A comment.\n"),
    "a comment of the lock": Edit("requirements.lock", "    # via nothing\n"),
    "the tests": Edit("tests/test_one.py", "assert True\n"),
    "the retries of a step": Edit(f"{OURS}/spec.yaml", "\nsteps: {train: {retries: 2}}\n"),
    "a schedule": Edit(f"{OURS}/spec.yaml", '\nschedule: {cron: "0 3 * * 1", time_zone: Europe/Berlin}\n'),
    "the command line": Edit("pipelines/status.py", "\n# A comment.\n"),
    "a manifest": Edit("manifests/README.md", "\nMore words.\n"),
}
ONE = {
    "the data contract": (Edit(f"{OURS}/spec.yaml", "max: 20000", "max: 10000"), "preprocess"),
    "the data": (Edit(f"{OURS}/data/more.csv", "a\n1\n"), "preprocess"),
    "a table of its own": (Edit(f"{OURS}/lookup.json", "{}\n"), "preprocess"),
    "a hyperparameter": (Edit(f"{OURS}/spec.yaml", "learning_rate: 0.2", "learning_rate: 0.1"), "train"),
    "a bound": (Edit(f"{OURS}/spec.yaml", "metric: r2, min: 0.8", "metric: r2, min: 0.7"), "evaluate"),
    "its replicas": (Edit(f"{OURS}/spec.yaml", "max_replicas: 4", "max_replicas: 3"), "deploy"),
    "how it is released": (Edit(f"{OURS}/spec.yaml", "\nrelease: {mode: pull-request}\n"), "deploy"),
}
SHARED = {
    "evaluate": Edit("components/evaluate/table/steps.py", "\n# A comment.\n"),
    "the champion": Edit("components/champion/steps.py", "\n# A comment.\n"),
    "deploy": Edit("components/deploy/steps.py", "\n# A comment.\n"),
    "the ONNX parity check": Edit("delivery/models/onnx/parity.py", "\n# A comment.\n"),
    "a template of the report": Edit("components/evaluate/shared/page.html.j2", "\n"),
    "the manifest of a language model": Edit("delivery/kserve/llm_service.py", "\n# A comment.\n"),
    "the contract of specs": Edit("training/spec/model_spec.py", "\n# A comment.\n"),
    "the libraries": Edit("requirements.lock", "another==1.0\n"),
}
FROM = {
    "the champion": "evaluate",
    "the ONNX parity check": "train",
    "a template of the report": "evaluate",
    "the manifest of a language model": "deploy",
    "the contract of specs": "preprocess",
    "the libraries": "preprocess",
}


def test_what_decides_no_step_affects_nothing(history: History) -> None:
    for edit in NOTHING.values():
        edit.make(history)
    history.commit()
    assert steps(history) == {}


@pytest.mark.parametrize("what", ONE)
def test_a_change_of_one_model_affects_it_alone_from_the_step_that_it_decides(history: History, what: str) -> None:
    edit, step = ONE[what]
    edit.make(history)
    history.commit()
    (found,) = affected(history.root, "base..HEAD")[1]
    assert (found.model, found.step, found.paths) == (BIKES, step, (edit.path,))


@pytest.mark.parametrize("what", SHARED)
def test_shared_code_affects_every_model_from_its_step_and_is_named(history: History, what: str) -> None:
    SHARED[what].make(history)
    history.commit()
    step = FROM.get(what, what)
    found = affected(history.root, "base..HEAD")[1]
    assert [(one.model, one.step, one.paths) for one in found] == [
        (BIKES, step, (SHARED[what].path,)),
        (TALK, step, (SHARED[what].path,)),
    ]


def test_the_lock_of_language_models_affects_them_alone(history: History) -> None:
    history.append("requirements-llm.lock", "another==1.0\n")
    history.commit()
    assert steps(history) == {TALK: "preprocess"}


def test_labels_for_the_judge_judge_again_and_train_nothing(history: History) -> None:
    spec = history.root / "training/llm_qa/spec.yaml"
    text = spec.read_text().replace("    # - {kind: judge", "    - {kind: judge")
    spec.write_text(re.sub(r"^  #( (judge:|  \w+: ).*)$", r" \1", text, flags=re.MULTILINE))
    history.commit()
    history.append("training/llm_qa/judge_labels.jsonl", "\n")
    history.commit()
    assert steps(history, "HEAD^..HEAD") == {TALK: "evaluate"}


def test_a_renamed_model_is_one_that_is_removed_and_a_new_one(history: History) -> None:
    history.git("mv", OURS, "training/bikes")
    history.edit("training/bikes/spec.yaml", "name: demand-forecaster", "name: bikes")
    history.commit()
    assert steps(history) == {"bikes": "preprocess", BIKES: "removed"}
    done = run_ostinato(history.root, "affected", "base..HEAD", "--names")
    assert (done.code, done.out) == (0, "bikes\n")


def test_a_change_that_is_taken_back_affects_nothing(history: History) -> None:
    history.append(f"{OURS}/model.py", "\n# A comment.\n")
    history.commit()
    history.git("revert", "--no-edit", "HEAD")
    assert steps(history) == {}


def test_a_merge_is_compared_with_its_first_parent_and_three_dots_with_where_they_parted(history: History) -> None:
    history.git("switch", "--quiet", "-c", "topic")
    history.append(f"{OURS}/model.py", "\n# A comment.\n")
    history.commit()
    history.git("switch", "--quiet", "main")
    history.append("training/llm_qa/model.py", "\n# A comment.\n")
    history.commit()
    assert steps(history, "main...topic") == {BIKES: "preprocess"}
    assert steps(history, "main..topic") == {BIKES: "preprocess", TALK: "preprocess"}
    history.git("merge", "--quiet", "--no-ff", "-m", "merge", "topic")
    assert steps(history, "HEAD^1..HEAD") == {BIKES: "preprocess"}


def test_before_the_first_commit_there_was_nothing(history: History) -> None:
    assert steps(history, "0" * 40 + "..HEAD") == {BIKES: "preprocess", TALK: "preprocess"}
    with pytest.raises(InputError, match=r"the first commit has none before it: write 0\.\.HEAD"):
        affected(history.root, "HEAD^..HEAD")


def test_files_that_are_not_committed_are_not_looked_at_and_said_to_be_so(history: History) -> None:
    history.append(f"{OURS}/model.py", "\n# A comment.\n")
    done = run_ostinato(history.root, "affected", "base..HEAD")
    assert (done.code, done.out) == (0, "no model is affected\n")
    assert done.err == "changes that are not committed are not looked at\n"


def test_a_shallow_clone_is_told_to_fetch_the_rest(history: History, tmp_path: Path) -> None:
    before = history.git("rev-parse", "HEAD")
    history.append("docs/one.md", "one\n")
    history.commit()
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", history.root.as_uri(), str(shallow)], check=True)
    done = run_ostinato(shallow, "affected", f"{before}..HEAD")
    assert (done.code, done.out) == (2, "")
    assert "is not in this shallow clone; first: git fetch --unshallow" in done.err


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ("HEAD", "is not BASE..HEAD"),
        ("--output=x..HEAD", "is not BASE..HEAD"),
        ("absent..HEAD", "absent of absent..HEAD names no commit here"),
        ("base..absent", "absent of base..absent names no commit here"),
    ],
)
def test_a_range_that_names_no_commits_is_refused(history: History, span: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        affected(history.root, span)


def test_a_wrong_spec_is_an_error_at_the_end_and_all_is_affected_after_a_wrong_start(history: History) -> None:
    history.edit(f"{OURS}/spec.yaml", "task: regression", "task: guessing")
    history.commit()
    with pytest.raises(InputError, match=r"demand-forecaster at \w+: .*spec.yaml has 1 wrong field"):
        affected(history.root, "base..HEAD")
    history.git("revert", "--no-edit", "HEAD")
    (found,) = affected(history.root, "HEAD^..HEAD")[1]
    assert (found.model, found.step) == (BIKES, "preprocess")
    assert found.note.startswith("not comparable: ")


def test_a_start_whose_code_does_not_run_affects_every_model(history: History) -> None:
    history.append("training/folder.py", "\nraise RuntimeError('broken')\n")
    history.commit()
    history.git("revert", "--no-edit", "HEAD")
    assert steps(history, "HEAD^..HEAD") == {BIKES: "preprocess", TALK: "preprocess"}


def test_models_in_a_folder_of_a_bigger_repository_are_found(history: History) -> None:
    (history.root / "ml").mkdir()
    for name in ("components", "delivery", "pipelines", "training", "manifests"):
        history.git("mv", name, f"ml/{name}")
    history.commit()
    history.git("tag", "moved")
    history.append(f"ml/{OURS}/model.py", "\n# A comment.\n")
    history.append("docs/one.md", "one\n")
    history.commit()
    (found,) = affected(history.root / "ml", "moved..HEAD")[1]
    assert (found.model, found.step, found.paths) == (BIKES, "preprocess", (f"{OURS}/model.py",))


def test_the_command_says_which_files_and_the_gate_asks_only_for_what_it_judges(history: History) -> None:
    history.edit(f"{OURS}/spec.yaml", "max_replicas: 3", "max_replicas: 4")
    history.append("training/llm_qa/model.py", "\n# A comment.\n")
    history.commit()
    told = run_ostinato(history.root, "affected", "base..HEAD")
    assert told.out.splitlines() == [
        f"{BIKES}  deploy on: {OURS}/spec.yaml",
        f"{TALK}  preprocess on: training/llm_qa/model.py",
    ]
    judged = run_ostinato(history.root, "affected", "base..HEAD", "--until", "evaluate", "--names")
    assert judged.out == f"{TALK}\n"
    found = json.loads(run_ostinato(history.root, "affected", "base..HEAD", "--json").out)
    assert [(one["model"], one["retrain"]) for one in found["models"]] == [(BIKES, False), (TALK, True)]
