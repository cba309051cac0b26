"""`ostinato serve`, `chat`, `verify` and `predict` of a language model, in processes of their own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from harness.candidates import judge, language_candidate, language_spec, model_spec
from harness.command_line import ROOT, Finished, environment, run_ostinato
from harness.following import wait_until
from harness.odd_servers import Answer, odd_server, says
from harness.registered import Place
from harness.servers import free_port
from harness.verdicts import proof
from serving.talkers import ANSWERS, DECODING, NAME, QUESTIONS, sample_of

from delivery.serving.process.process import RunningServer

QUESTION = QUESTIONS[0]


@pytest.fixture(scope="module")
def guides(tmp_path_factory: pytest.TempPathFactory, talker: Path) -> Path:
    """A workspace with two versions, which differ by a file and by what their samples expect; version 1 is live."""
    root = tmp_path_factory.mktemp("guides") / "checkout"
    spec = language_spec(NAME)
    spec = spec.model_copy(update={"quality": spec.quality.model_copy(update={"decoding": DECODING})})
    for one in (spec, model_spec("shop")):
        (root / "training" / one.name).mkdir(parents=True)
        (root / "training" / one.name / "spec.yaml").write_text(one.canonical_json())
    shutil.copytree(ROOT / "manifests", root / "manifests")
    place = Place(f"sqlite:///{root}/.ostinato/mlflow.db", root, "", root, spec)
    for weight in (1, 2):
        files = language_candidate(root / "work" / str(weight), weight)
        shutil.rmtree(files.model)
        shutil.copytree(talker, files.model)
        (files.model / "MLmodel").write_text(f"flavors:\n  transformers:\n    task: text-generation\n# {weight}\n")
        sample = sample_of(files.model, other=0 if weight == 1 else 2)
        sample.write(files.sample)
        served = proof(runtime="kserve-huggingfaceserver", protocol="openai", sample_digest=sample.digest())
        judge(files, weight, model=NAME, task="generation", served=served)
        place.register(weight, files)
    done = run_ostinato(root, "promote", NAME, "--version", "1")
    assert done.code == 0, done.err
    return root


Talk = Callable[..., Finished]


@pytest.fixture
def talk(guides: Path, talker_server: RunningServer) -> Talk:
    """`ostinato COMMAND guide … --url` of the session's server."""
    return lambda command, *arguments: run_ostinato(guides, command, NAME, *arguments, "--url", talker_server.url)


@pytest.fixture
def served(guides: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """`ostinato serve guide`: its URL, and what it said."""
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "-m", "pipelines.cli", "serve", NAME, "--port", str(port)]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(guides), stdout=out, stderr=out, text=True)
    try:
        wait_until(lambda: "\ncurl " in log.read_text(), f"curl in {log}", process)
        yield f"http://127.0.0.1:{port}", log.read_text()
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_what_is_live_is_served_for_an_application_that_knows_a_base_url(served: tuple[str, str], guides: Path) -> None:
    url, said = served
    assert f"guide version 1 on {url}, by kserve-huggingfaceserver, transformers " in said
    assert f"base_url: {url}/openai/v1   model: guide   or: ostinato chat guide --url {url}" in said
    client = openai.OpenAI(base_url=f"{url}/openai/v1", api_key="none")
    asked = client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": QUESTION}], temperature=0)
    assert asked.choices[0].message.content == ANSWERS[QUESTION]
    curl = next(line for line in said.splitlines() if line.startswith("curl "))
    answered = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout
    assert json.loads(answered)["object"] == "chat.completion"
    done = run_ostinato(guides, "serve", NAME, "--port", url.rpartition(":")[2])
    assert done.code == 2 and "can't be had on this machine" in done.err


def test_follow_is_not_for_other_runtimes(guides: Path) -> None:
    done = run_ostinato(guides, "serve", NAME, "--follow")
    assert done.code == 2
    assert "--follow needs the runtime ostinato-mlflow; guide is served by kserve-huggingfaceserver" in done.err


def test_a_question_is_answered_on_the_terminal(talk: Talk, talker_server: RunningServer, guides: Path) -> None:
    done = talk("chat", QUESTION)
    assert (done.code, done.out, done.err) == (0, f"{ANSWERS[QUESTION]}\n", "")
    base_url = run_ostinato(guides, "chat", NAME, QUESTION, "--url", talker_server.openai)
    assert base_url.out == done.out


def events(text: str) -> Answer:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return says(200, f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n", "text/event-stream")


def begins_and_waits(handler: Any) -> None:
    """A stream whose first piece comes, and no other."""
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.end_headers()
    handler.wfile.write(b'data: {"choices": [{"index": 0, "delta": {"content": "Well"}}]}\n\n')
    handler.wfile.flush()
    handler.server.hangs(handler)


def chatting(guides: Path, url: str, *options: str) -> "subprocess.Popen[str]":
    """`ostinato chat guide`, which reads what is typed."""
    command = [sys.executable, "-m", "pipelines.cli", "chat", NAME, "--url", url, *options]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, cwd=ROOT, env=environment(guides), text=True, **pipes)


def test_a_talk_remembers_what_was_said_and_forgets_what_was_refused(guides: Path) -> None:
    refused = says(400, {"error": {"message": "too long"}})
    with odd_server(events("Hi"), refused, events("there\x1b[2J\n")) as server:
        talk = chatting(guides, server.url, "--system", "Be brief.")
        out, err = talk.communicate("One\n\nTwo\nThree\n", timeout=120)
    assert (talk.returncode, out) == (0, "Hi\n\nthere[2J\n\n")
    assert "answered 400: too long" in err
    first = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One"}]
    remembered = [*first, {"role": "assistant", "content": "Hi"}]
    said = [
        first,
        [*remembered, {"role": "user", "content": "Two"}],
        [*remembered, {"role": "user", "content": "Three"}],
    ]
    assert [one["messages"] for one in server.bodies] == said
    assert {(one["temperature"], one["max_tokens"]) for one in server.bodies} == {(0.0, DECODING.max_new_tokens)}


def test_ctrl_c_ends_an_answer_and_the_talk_goes_on_without_it(guides: Path) -> None:
    with odd_server(begins_and_waits, events("Hi")) as server:
        talk = chatting(guides, server.url)
        assert talk.stdin and talk.stdout
        talk.stdin.write("One\n")
        talk.stdin.flush()
        assert talk.stdout.read(4) == "Well"
        talk.send_signal(signal.SIGINT)
        out, _ = talk.communicate("Two\n", timeout=120)
    assert (talk.returncode, out) == (0, "\nHi\n")
    assert server.bodies[1]["messages"] == [{"role": "user", "content": "Two"}]


def test_chat_says_what_is_missing_where_nobody_listens(guides: Path) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8080)) == 0:
            pytest.skip("something listens on port 8080 of this machine")
    done = run_ostinato(guides, "chat", NAME, QUESTION)
    assert done.code == 2
    assert "nothing listens on http://127.0.0.1:8080; start it with: ostinato serve guide" in done.err
    there = run_ostinato(guides, "chat", NAME, QUESTION, "--url", f"http://127.0.0.1:{free_port()}")
    assert there.code == 1 and "nobody answers at http://127.0.0.1:" in there.err


def test_the_command_of_the_other_kind_of_model_is_named(guides: Path) -> None:
    chat = run_ostinato(guides, "chat", "shop", "How many?")
    assert chat.code == 2 and "ask it with: ostinato predict shop ROWS.csv" in chat.err
    predict = run_ostinato(guides, "predict", NAME, "rows.csv")
    assert predict.code == 2 and "takes questions, not rows; ask: ostinato chat guide" in predict.err
    wrong = run_ostinato(guides, "chat", NAME, QUESTION, "--url", "llm.example.org")
    assert wrong.code == 2 and "--url 'llm.example.org' is no address" in wrong.err


def test_an_endpoint_that_answers_as_the_version_was_judged_is_told_from_one_that_does_not(talk: Talk) -> None:
    done = talk("verify")
    assert done.code == 0, done.err
    assert "answers as guide version 1 was judged: 4 questions of the test sample, 0% of them in other" in done.out
    assert "a model that answers alike can't be told from it" in done.out.replace("\n", " ")
    told = json.loads(talk("verify", "--json").out)
    assert (told["version"], told["rows"], told["worst_difference"], told["named"]) == ("1", 4, 0, False)
    other = talk("verify", "--version", "2")
    assert other.code == 3, other.out
    assert "is not guide version 2: of 4 rows of the test sample it answers otherwise" in other.err
    assert "50.00% of the rows; at most 0.25 is allowed" in other.err


def test_an_endpoint_with_another_model_or_nobody_is_not_verified(guides: Path, tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("odd_runtime.py"))
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, script, "models", str(port), "{}"], env=environment) as server:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, url, None)
        done = run_ostinato(guides, "verify", NAME, "--url", url)
        server.kill()
    assert done.code == 3 and f"{url}/openai/v1 is not guide version 1: it serves another" in done.err
    gone = run_ostinato(guides, "verify", NAME, "--url", url)
    assert gone.code == 3 and "nobody answers at" in gone.err
