"""What evaluate, register and the runtimes rely on in a language model's folder."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from train.conftest import CONVERSATIONS, Guide

from delivery.models.folder import model_digest
from delivery.models.language.language_model import is_language_model, load_language_model
from training.errors import InputError, OstinatoError

BOUND_S = 120.0
QUESTION = [{"role": "user", "content": "Which way is north?"}]


def rendered(folder: Path, messages: list[dict[str, str]]) -> str:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


@pytest.mark.parametrize("method", ["prompt", "lora", "full"])
def test_the_folder_is_what_hugging_faces_runtimes_load_and_an_mlflow_model(
    guide: Guide, tmp_path: Path, method: str
) -> None:
    from transformers import AutoModelForCausalLM

    guide.training["system_prompt"] = "prompts/system.md"
    trained = guide.train(tmp_path / "out", method=method)
    out = tmp_path / "out"
    assert trained.framework == "transformers" and trained.digest == model_digest(out) and trained.rows == 2
    assert is_language_model(out)
    model, found = cast(Any, AutoModelForCausalLM).from_pretrained(out, output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    loaded = load_language_model(out)
    assert loaded.facts["method"] == method and loaded.facts["rows"] == 2
    assert not list(out.rglob("*.bin")) and not list(out.rglob("*.py"))
    assert (out / "prompts" / "system.md").read_text() == "You are a guide.\n"
    assert rendered(out, QUESTION).startswith("<|im_start|>system\nYou are a guide.<|im_end|>\n<|im_start|>user")
    assert model.dtype == AutoModelForCausalLM.from_pretrained(guide.base).dtype


def test_an_adapter_is_added_to_the_weights_or_lies_beside_them_and_answers_the_same(
    guide: Guide, tmp_path: Path
) -> None:
    import torch

    def logits(folder: Path) -> torch.Tensor:
        loaded = load_language_model(folder, "float32")
        tokens = loaded.tokenizer.apply_chat_template(QUESTION, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            return loaded.model(**cast(dict[str, Any], tokens)).logits

    guide.train(tmp_path / "merged", method="lora")
    guide.training["adapter"] = "separate"
    guide.train(tmp_path / "separate", method="lora")
    assert (tmp_path / "separate" / "adapter" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "merged" / "adapter").exists()
    torch.testing.assert_close(logits(tmp_path / "merged"), logits(tmp_path / "separate"))
    assert not torch.allclose(logits(tmp_path / "merged"), logits(guide.base))


@pytest.mark.parametrize("adapter", ["merged", "separate"])
def test_mlflow_loads_the_folder_and_answers_messages_with_a_completion(
    guide: Guide, tmp_path: Path, adapter: str
) -> None:
    import mlflow
    from mlflow.models import Model

    guide.training["adapter"] = adapter
    guide.train(tmp_path / "out", method="lora")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "out"))
    [answer] = loaded.predict({"messages": QUESTION, "max_tokens": 3})
    assert answer["choices"][0]["message"]["role"] == "assistant" and answer["usage"]["completion_tokens"] <= 3
    assert loaded.metadata.signature.inputs.input_names()[0] == "messages"
    example = Model.load(str(tmp_path / "out")).load_input_example(str(tmp_path / "out"))
    assert example == {"messages": [{"role": "user", "content": "Hello"}]}


TRAIN = """
import sys
from pathlib import Path
from train.conftest import Guide
root, base, out, *given = sys.argv[1:]
for i, one in enumerate(given):
    adapter, method, die_at = one.split(":")
    guide = Guide(Path(root), Path(base), {"adapter": adapter})
    print(guide.train(Path(f"{out}-{i}"), method=method, die_at=int(die_at)).digest)
"""


def in_a_process_of_its_own(guide: Guide, out: Path, *given: str, seed: str = "0") -> subprocess.CompletedProcess[str]:
    """Run trainings, each written `adapter:method:step after which it dies unless it finds the first ones done`."""
    return subprocess.run(
        [sys.executable, "-c", TRAIN, str(guide.root), str(guide.base), str(out), *given],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=BOUND_S,
    )


def test_the_same_training_in_two_processes_gives_the_same_bytes(guide: Guide, tmp_path: Path) -> None:
    digests = []
    for seed in ("1", "2"):
        given = ("merged:lora:-1", "separate:lora:-1", "merged:full:-1")
        done = in_a_process_of_its_own(guide, tmp_path / seed, *given, seed=seed)
        assert done.returncode == 0, done.stderr
        digests.append([line for line in done.stdout.splitlines() if line.startswith("sha256:")])
    assert digests[0] == digests[1] and len(set(digests[0])) == 3


def test_a_changed_prompt_alone_makes_another_model(guide: Guide, tmp_path: Path) -> None:
    guide.training["system_prompt"] = "prompts/system.md"
    before = guide.train(tmp_path / "before", method="prompt").digest
    (guide.folder / "prompts" / "system.md").write_text("You are a pilot.\n")
    assert guide.train(tmp_path / "after", method="prompt").digest != before
    assert "You are a pilot." in rendered(tmp_path / "after", QUESTION)


def killed(guide: Guide, out: Path) -> None:
    """Train until the second step kills the process."""
    assert in_a_process_of_its_own(guide, out, "merged:full:1").returncode == -signal.SIGKILL


def test_a_killed_training_goes_on_where_it_was_and_leaves_nothing_behind(guide: Guide, tmp_path: Path) -> None:
    killed(guide, tmp_path / "out")
    [place] = (guide.root / ".ostinato" / "training").iterdir()
    assert (place / "work" / "steps").read_text() == "2"
    guide.train(tmp_path / "out", method="full", die_at=1)
    assert not place.exists()
    assert is_language_model(tmp_path / "out")


def test_another_training_does_not_find_the_checkpoints_of_a_killed_one(guide: Guide, tmp_path: Path) -> None:
    killed(guide, tmp_path / "out")
    guide.write_conversations(CONVERSATIONS[:1])
    [left] = (guide.root / ".ostinato" / "training").iterdir()
    killed(guide, tmp_path / "out")
    assert left in (guide.root / ".ostinato" / "training").iterdir()


def test_the_place_of_checkpoints_can_be_chosen(guide: Guide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_TRAINING_WORK", str(tmp_path / "volume"))
    killed(guide, tmp_path / "out")
    assert len(list((tmp_path / "volume").iterdir())) == 1
    assert not (guide.root / ".ostinato" / "training").exists()


def test_the_loss_curve_comes_with_the_result(guide: Guide, tmp_path: Path) -> None:
    loss = guide.train(tmp_path / "out", method="full").loss
    assert [step for step, _ in loss] == [1, 2, 3] and loss[-1][1] < loss[0][1]
    assert guide.train(tmp_path / "same", method="prompt").loss == ()


def test_the_projects_own_fine_tuning_makes_such_a_folder(guide: Guide, tmp_path: Path) -> None:
    from pipelines.scaffold.table import create_model

    (tmp_path / "talk.jsonl").write_text("".join(json.dumps({"messages": one}) + "\n" for one in CONVERSATIONS))
    made = create_model(guide.root, "made", "generation", tmp_path / "talk.jsonl", None, None, None)
    (guide.folder / "model.py").write_text((made / "model.py").read_text())
    given = {"method": "lora", "max_steps": 2, "batch_size": 2, "max_length": 128, "lora_rank": 2, "precision": "fp32"}
    trained = guide.train(tmp_path / "out", **given)
    assert [step for step, _ in trained.loss] == [1, 2]
    assert load_language_model(tmp_path / "out").facts["method"] == "lora"
    assert list((guide.root / ".ostinato" / "training").iterdir()) == []


def test_a_long_loss_curve_is_thinned_out_and_keeps_its_end(tmp_path: Path) -> None:
    from components.train.language.steps import CURVE_POINTS, loss_curve
    from delivery.models.language.language_model import Result

    (tmp_path / "training_log.json").write_text(json.dumps({"steps": 999, "loss": [1 / i for i in range(1, 1000)]}))
    curve = loss_curve(Result(tmp_path / "adapter", "lora"))
    assert len(curve) <= CURVE_POINTS and curve[-1] == (999, 0.001)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("return 'a name'", r"model:train returned 'a name'; return the folder"),
        ("return work", r"has neither config.json nor adapter_config.json"),
        ("(work / 'adapter_config.json').write_text('{}'); return work", "without adapter_model.safetensors"),
        ("(work / 'config.json').write_text('{}'); return work", "without model.safetensors"),
        ("return 1 / 0", r"model.py:\d+: ZeroDivisionError"),
    ],
)
def test_a_train_function_that_returns_no_model_is_told_what_to_return(
    guide: Guide, tmp_path: Path, code: str, said: str
) -> None:
    model = guide.folder / "model.py"
    model.write_text(
        "from pydantic import BaseModel\n\n\nclass Hyperparameters(BaseModel):\n    pass\n\n\n"
        f"def train(conversations, base, hyperparameters, seed, work):\n    {code}\n"
    )
    with pytest.raises(OstinatoError, match=said):
        guide.train(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("training", "hyperparameters", "said"),
    [
        ({"workers": 2}, {}, "training.workers is 2, but this is one machine"),
        ({"system_prompt": "prompts/other.md"}, {}, r"training.system_prompt is 'prompts/other.md', but there is no"),
        ({"base_model": {"source": "./nothing"}}, {}, "the base model ./nothing: .* is no folder"),
        ({}, {"methd": "full"}, "training.hyperparameters.methd: .* Did you mean 'method'"),
        ({"entry_point": "model:fit"}, {}, "has no function 'fit'"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_trained(
    guide: Guide, tmp_path: Path, training: dict, hyperparameters: dict, said: str
) -> None:
    guide.training.update(training)
    with pytest.raises(InputError, match=said):
        guide.train(tmp_path / "out", **{"method": "full", **hyperparameters})
    assert not (guide.root / ".ostinato" / "training").exists()


def test_a_base_model_without_a_chat_template_is_refused(guide: Guide, tmp_path: Path) -> None:
    from harness.tiny_models import tiny_model

    guide.base = tiny_model(tmp_path / "mute", ["a", "b"], hidden=16, layers=1, chat_template="")
    with pytest.raises(InputError, match=r"has no chat template, .*put chat_template.jinja into its folder"):
        guide.train(tmp_path / "out")


def test_without_pytorch_it_says_what_to_install(guide: Guide, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "sys.modules['torch'] = None\n"
        "from importlib import util\nfound = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest)\n"
        "from components.train.steps import train\n"
        "train('guide', 'generation', '', '{\"base_model\": {\"source\": \"./b\"}}', Path('d'), Path('o'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert "a language model needs torch, which the base install has not: install ostinato[llm]" in done.stderr


def damage_truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def damage_missing(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def damage_code(folder: Path) -> None:
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "auto_map": {"AutoModel": "evil.Model"}}))


def damage_shape(folder: Path) -> None:
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**described, "vocab_size": 7}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_truncated, "its header promises"),
        (damage_missing, "tokenizer.json missing"),
        (damage_code, "auto_map"),
        (damage_shape, "does not load"),
    ],
)
def test_a_damaged_folder_is_refused_with_its_reason(guide: Guide, tmp_path: Path, damage, said: str) -> None:
    guide.train(tmp_path / "out", method="full")
    damage(tmp_path / "out")
    with pytest.raises(OstinatoError, match=said):
        load_language_model(tmp_path / "out")
