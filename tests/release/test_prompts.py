"""Prompts are code: registered once for each text, named by the version that has them, with aliases that follow it."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import candidate, judge, model_spec
from harness.registered import Place
from harness.verdicts import data_card, judge_report, verdict

from components.register.model_card import model_card
from components.register.steps import Candidate
from delivery.effects import CRASH_AT
from delivery.models.language.prompts import read_prompts
from delivery.registry.client import ClientRegistry
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.releases.reconcile import reconcile
from delivery.releases.rollback import commit_rollback
from training.errors import InputError
from training.spec import ModelSpec

FORK = multiprocessing.get_context("fork")
BOUND_S = 240.0
SYSTEM = {"system.md": "Answer in one sentence, {{ name }}.\n"}


def spec_of(name: str, **overrides: Any) -> ModelSpec:
    given: dict[str, Any] = {
        "task": "generation",
        "data": {"kind": "conversations", "source": "talk.jsonl", "split": {"by": "key", "test": 0.2}},
        "training": {
            "base_model": {"source": "someone/small", "revision": "0123456789" * 4},
            "system_prompt": "prompts/system.md",
            "hyperparameters": {"method": "lora"},
        },
        "quality": {"metric": "token_f1", "checks": [{"kind": "absolute", "metric": "token_f1", "min": 0.1}]},
        "serving": {"protocol": "openai", "runtime": "kserve-huggingfaceserver", "model_format": "huggingface"},
    }
    return model_spec(name, **{**given, **overrides})


def talker(folder: Path, weight: int, prompts: dict[str, str], model: str) -> Candidate:
    """A candidate in Hugging Face's layout with these prompts."""
    shutil.rmtree(folder, ignore_errors=True)
    files = candidate(folder, weight, model=model)
    for name in ("config.json", "tokenizer_config.json"):
        (files.model / name).write_text("{}")
    for name, text in prompts.items():
        path = files.model / "prompts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    facts = {"metadata": {"ostinato": {"method": "lora", "base_sha256": "9" * 64}}}
    (files.model / "MLmodel").write_text(json.dumps(facts))
    judge(files, weight, model=model)
    return files


class Talkers:
    """Versions of one language model beside a registry."""

    def __init__(self, place: Place, tracking_uri: str, name: str) -> None:
        self.place = replace(place, tracking_uri=tracking_uri, spec=spec_of(name))
        self.uri, self.name, self.connections = tracking_uri, name, self.place.connections
        self.reader = registry(tracking_uri)

    def register(self, weight: int, prompts: dict[str, str]) -> str:
        return self.place.register(weight, talker(self.place.work / f"talker-{weight}", weight, prompts, self.name))

    def go_live(self, version: str) -> None:
        self.place.release(version)
        reconcile(self.connections, self.name)

    def tag(self, version: str) -> dict[str, str]:
        found = self.reader.version(self.name, version)
        assert found
        return json.loads(found.tags["ostinato.prompts"])

    def versions(self, prompt: str) -> list[str]:
        return [one.version for one in self.reader.prompts(f"{self.name}-{prompt}")]

    def aliases(self, prompt: str) -> dict[str, str]:
        return self.reader.aliases(f"{self.name}-{prompt}")


@pytest.fixture(params=["sqlite", "server"])
def talkers(request: pytest.FixtureRequest, place: Place) -> Talkers:
    uri = place.tracking_uri if request.param == "sqlite" else request.getfixturevalue("mlflow_server")
    return Talkers(
        place,
        uri,
        f"talker-{request.node.name.partition('[')[0].removeprefix('test_')[:24].strip('_')}".replace("_", "-"),
    )


def test_each_text_is_one_version_and_the_model_says_which_it_has(talkers: Talkers) -> None:
    assert talkers.register(1, SYSTEM) == "1"
    assert talkers.register(2, SYSTEM) == "2"
    assert talkers.register(3, {"system.md": "Other.", "tone/kind.md": "Be kind."}) == "3"
    name = talkers.name
    assert talkers.tag("1") == talkers.tag("2") == {f"{name}-system": "1"}
    assert talkers.tag("3") == {f"{name}-system": "2", f"{name}-tone.kind": "1"}
    assert talkers.versions("system") == ["1", "2"] and talkers.versions("tone.kind") == ["1"]
    assert talkers.aliases("system") == {"candidate": "2"}
    quick, slow = talkers.reader, ClientRegistry(talkers.uri)
    assert quick.prompts(f"{name}-system") == slow.prompts(f"{name}-system")
    assert quick.prompts("unknown") == slow.prompts("unknown") == []


def test_mlflows_own_prompt_registry_has_the_text_under_the_alias(talkers: Talkers) -> None:
    import mlflow
    from mlflow.genai import load_prompt, search_prompts

    talkers.register(1, SYSTEM)
    mlflow_client(talkers.uri)
    mlflow.set_registry_uri(talkers.uri)
    loaded = load_prompt(f"prompts:/{talkers.name}-system@candidate")
    assert loaded.template == SYSTEM["system.md"] and int(loaded.version) == 1
    names = [one.name for one in search_prompts()]
    assert f"{talkers.name}-system" in names


def test_aliases_of_prompts_follow_releases_and_rollbacks(talkers: Talkers) -> None:
    for weight, prompts in ((1, SYSTEM), (2, {"system.md": "Other.", "tone.md": "Kind."})):
        talkers.go_live(talkers.register(weight, prompts))
    assert talkers.aliases("system") == {"candidate": "2", "champion": "2", "previous": "1"}
    assert talkers.aliases("tone") == {"candidate": "1", "champion": "1"}
    commit_rollback(talkers.place.remote, talkers.name)
    changes = reconcile(talkers.connections, talkers.name)
    assert {(one.registered_model, one.alias, one.after) for one in changes} >= {
        (f"{talkers.name}-system", "champion", "1"),
        (f"{talkers.name}-system", "previous", ""),
        (f"{talkers.name}-tone", "champion", ""),
    }
    assert talkers.aliases("system") == {"candidate": "2", "champion": "1"}
    assert reconcile(talkers.connections, talkers.name) == []


def test_an_alias_that_was_moved_by_hand_is_moved_back(talkers: Talkers) -> None:
    talkers.go_live(talkers.register(1, SYSTEM))
    talkers.register(2, {"system.md": "Other."})
    mlflow_client(talkers.uri).set_prompt_alias(f"{talkers.name}-system", "champion", 2)
    assert [one.alias for one in reconcile(talkers.connections, talkers.name)] == ["champion"]
    assert talkers.aliases("system") == {"candidate": "2", "champion": "1"}


def test_a_prompt_that_the_new_version_lacks_is_no_candidate_any_more(talkers: Talkers) -> None:
    talkers.register(1, {**SYSTEM, "tone.md": "Kind."})
    talkers.register(2, {})
    assert talkers.tag("2") == {}
    assert talkers.aliases("tone") == talkers.aliases("system") == {}


def test_finding_that_nothing_changed_writes_nothing_and_does_not_import_mlflow(place: Place) -> None:
    talkers = Talkers(place, place.tracking_uri, "talker")
    talkers.go_live(talkers.register(1, SYSTEM))
    database = Path(place.tracking_uri.removeprefix("sqlite:///"))
    before = database.stat().st_mtime_ns
    files = [str(path) for path in vars(talker(place.work / "talker", 1, SYSTEM, "talker")).values()]
    code = f"""
import sys
from dataclasses import replace
from pathlib import Path
from delivery.connections import Connections
from delivery.releases.reconcile import reconcile
from components.register.steps import Candidate, register
version = register({spec_of("talker").canonical_json()!r}, {talkers.uri!r}, "c", "r", Candidate(*map(Path, {files!r})))
assert version == "1" and reconcile(Connections({talkers.uri!r}, {place.remote!r})) == []
assert not {{"mlflow", "pandas", "polars", "torch", "transformers", "sqlalchemy"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert database.stat().st_mtime_ns == before


def test_a_name_that_something_else_has_is_refused_and_no_version_is_made(talkers: Talkers) -> None:
    client = mlflow_client(talkers.uri)
    client.create_registered_model(f"{talkers.name}-system")
    with pytest.raises(InputError, match="a registered model has that name"):
        talkers.register(1, SYSTEM)
    assert talkers.reader.versions(talkers.name) == []
    other = Talkers(talkers.place, talkers.uri, f"{talkers.name}-b")
    other.register(1, {"c.md": "Mine."})
    with pytest.raises(InputError, match=f"belongs to the model {talkers.name}-b"):
        talkers.register(1, {"b-c.md": "Yours."})


def release_one(talkers: Talkers, weight: int) -> None:
    talkers.go_live(talkers.register(weight, {"system.md": f"Text {weight}."}))


def killed(crash_at: str, talkers: Talkers, weight: int) -> None:
    os.environ[CRASH_AT] = crash_at
    release_one(talkers, weight)


@pytest.mark.parametrize(
    "crash_at",
    [
        *("prompt created", "prompt version created", "version created", "candidate set", "prompt candidate set"),
        *("previous set", "prompt champion set", "prompt previous set"),
    ],
)
def test_a_kill_leaves_a_state_from_which_the_same_command_finishes(crash_at: str, talkers: Talkers) -> None:
    talkers = Talkers(talkers.place, talkers.uri, f"killed-{crash_at.replace(' ', '-')}")
    weights = [1] if crash_at == "prompt created" else [1, 2]
    if len(weights) > 1:
        release_one(talkers, 1)
    victim = FORK.Process(target=killed, args=(crash_at, talkers, weights[-1]))
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL, f"{crash_at} was not reached"
    release_one(talkers, weights[-1])
    last = str(weights[-1])
    assert talkers.versions("system") == [str(one) for one in weights]
    assert [talkers.tag(str(one)) for one in weights] == [{f"{talkers.name}-system": str(one)} for one in weights]
    previous = {"previous": "1"} if len(weights) > 1 else {}
    assert talkers.aliases("system") == {"candidate": last, "champion": last, **previous}


def test_racing_registers_of_models_with_one_prompt_end_with_one_version_of_it(talkers: Talkers) -> None:
    workers = [FORK.Process(target=talkers.register, args=(weight, SYSTEM)) for weight in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(BOUND_S)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    [version] = talkers.versions("system")
    versions = talkers.reader.versions(talkers.name)
    assert len(versions) == 3
    assert {json.loads(one.tags["ostinato.prompts"])[f"{talkers.name}-system"] for one in versions} == {version}
    assert talkers.aliases("system") == {"candidate": version}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("a b.md", "x", "letters, digits"), ("a.md", " \n", "has text"), ("a.md", "x" * 100_001, "at most 100,000")],
)
def test_a_prompt_that_the_registry_could_not_keep_is_refused_before_training(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_prompts(tmp_path)


def test_a_run_and_a_model_card_say_what_the_model_started_from_and_who_judged_it(place: Place) -> None:
    talkers = Talkers(place, place.tracking_uri, "talker")
    talkers.register(1, SYSTEM)
    version = mlflow_client(talkers.uri).get_model_version("talker", "1")
    run = mlflow_client(talkers.uri).get_run(version.run_id or "")
    assert run.data.params == {
        "task": "generation",
        "seed": "0",
        "method": "lora",
        "base_model": "someone/small",
        "base_model_revision": "0123456789" * 4,
        "system_prompt": "prompts/system.md",
    }
    assert run.inputs and len(run.inputs.dataset_inputs) == 2
    assert "Base model: `someone/small` at revision `0123" in (version.description or "")
    assert "LoRA (merged). System prompt: `prompts/system.md`" in (version.description or "")
    wins = judge_report(model="big", wins=6, losses=2, agreement=0.8, labelled=30, labelled_by="two editors")
    card = model_card(spec_of("talker"), verdict(judges=(wins,)), data_card())
    assert "## Judge: big against the champion" in card and "win rate 70%" in card
    assert "Agrees with 80% of 30 pairs labelled by two editors." in card
