"""The demonstration of a language model, from questions and answers to a committed manifest and a chat."""

import json
import random
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness.command_line import OSTINATO, ROOT, Finished, environment, run_ostinato
from harness.servers import free_port, wait_until_ready

from delivery.documents.verdict import Verdict

MODEL = "llm-qa"
pytestmark = pytest.mark.slow
BOTH_CORES = {"OMP_NUM_THREADS": "2"}
"""The other tests have one thread each; this one is the longest of all."""


@dataclass(frozen=True)
class Ran:
    workspace: Path
    finished: Finished

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.finished.out)

    @property
    def verdict(self) -> Verdict:
        return Verdict.read(Path(self.summary["folder"]) / "verdict.json")


def checkout(folder: Path) -> Path:
    """A checkout with the language model and nothing run yet; what is fast enough on a busy machine is not tested."""
    from shutil import copytree

    copytree(ROOT / "training" / "llm_qa", folder / "training" / "llm_qa")
    copytree(ROOT / "manifests", folder / "manifests")
    spec = folder / "training" / "llm_qa" / "spec.yaml"
    lines = spec.read_text().splitlines(keepends=True)
    spec.write_text("".join(one for one in lines if "first_token" not in one and "throughput" not in one))
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """`ostinato run llm-qa` on a fresh checkout."""
    workspace = checkout(tmp_path_factory.mktemp("llm-qa"))
    return Ran(workspace, run_ostinato(workspace, "run", MODEL, "--json", timeout=1200, **BOTH_CORES))


def test_a_run_goes_from_questions_to_a_committed_manifest(ran: Ran) -> None:
    assert ran.finished.code == 0, ran.finished.err
    assert ran.summary["version"] == "1"
    git = ["git", "--git-dir", str(ran.workspace / ".ostinato" / "manifests.git")]
    shown = subprocess.run([*git, "show", f"main:models/{MODEL}/inferenceservice.yaml"], capture_output=True, text=True)
    # KServe's runtime gives the server the service's name, which is the model's.
    assert "name: huggingface" in shown.stdout and f"name: {MODEL}\n" in shown.stdout
    assert "--backend=" in shown.stdout and "--model_name" not in shown.stdout


def test_the_fine_tuned_model_answers_measurably_better_than_its_base(ran: Ran) -> None:
    verdict = ran.verdict
    candidate, base = verdict.contender("candidate"), verdict.contender("baseline")
    assert candidate and base
    for metric in ("token_f1", "rouge_l"):
        ours, theirs = candidate.metrics[metric], base.metrics[metric]
        assert ours.low and theirs.high and ours.low > theirs.high + 0.1, (metric, ours, theirs)
    assert candidate.metrics["perplexity"].value < base.metrics["perplexity"].value / 2


def test_it_is_served_as_it_was_judged_over_the_openai_protocol(ran: Ran) -> None:
    served = ran.verdict.served
    assert served and served.protocol == "openai" and served.behaviours and not served.failure
    assert all(one.held for one in served.behaviours), served.behaviours


def test_chat_answers_a_fixed_question_from_the_live_model(ran: Ran) -> None:
    port = free_port()
    command = [str(OSTINATO), "serve", MODEL, "--port", str(port)]
    env = environment(ran.workspace, **BOTH_CORES)
    best = max(ran.verdict.answers, key=lambda one: one.scores["token_f1"])
    with subprocess.Popen(command, cwd=ran.workspace, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout and server.stdout.readline().startswith(f"{MODEL} version 1 on http://127.0.0.1:{port}")
        wait_until_ready(f"http://127.0.0.1:{port}/v2/health/ready", server)
        url = f"http://127.0.0.1:{port}/openai/v1"
        told = run_ostinato(ran.workspace, "chat", MODEL, best.question, "--url", url)
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
    assert told.code == 0, told.err
    said, reference = set(told.out.lower().split()), set(best.reference.lower().split())
    assert len(said & reference) >= len(reference) / 2, (told.out, best.reference)


def test_the_same_run_again_changes_nothing(ran: Ran) -> None:
    again = run_ostinato(ran.workspace, "run", MODEL, "--json", timeout=300, **BOTH_CORES)
    assert again.code == 0, again.err
    assert (json.loads(again.out)["version"], json.loads(again.out)["commit"]) == ("1", ran.summary["commit"])


def test_a_candidate_fine_tuned_on_shuffled_answers_is_refused(tmp_path: Path) -> None:
    workspace = checkout(tmp_path)
    path = workspace / "training" / "llm_qa" / "data" / "conversations.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    answers = [row["messages"][-1] for row in rows]
    random.Random(0).shuffle(answers)
    for row, answer in zip(rows, answers, strict=True):
        row["messages"][-1] = answer
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_ostinato(workspace, "run", MODEL, "--param", "epochs=1", "--json", timeout=1200, **BOTH_CORES)
    assert done.code == 3, done.err
    assert "token_f1" in done.err
    assert not (workspace / ".ostinato" / "mlflow.db").exists() or json.loads(done.out)["version"] == ""
    live = run_ostinato(workspace, "status", MODEL, "--json")
    assert json.loads(live.out)[0]["live"] == ""
