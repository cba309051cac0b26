"""What the service takes, what a platform may ask it, and how it is set up."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from harness.chatting import (
    LISTED,
    MODEL,
    WAIT_S,
    Chat,
    Waits,
    answers,
    chat_process,
    chatting,
    chunk,
    messages,
    refuses,
    streams,
)
from harness.command_line import ROOT
from harness.following import wait_until
from harness.odd_servers import Answer, odd_server, says


@pytest.fixture(scope="module")
def chat() -> Iterator[Chat]:
    with chatting(answers("Yes")) as chat:
        yield chat


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "A conversation is questions and answers in turn, and ends with a question."),
        (["A?", "B."], "A conversation is questions and answers in turn, and ends with a question."),
        ([" \n "], "The question is empty."),
        (["x" * 4001], "The question has more than 4,000 characters. Ask a shorter one."),
        (["x"] * 43, "This conversation has more than 20 questions. Start a new one."),
        (["x", "x" * 60_000, "x"], "This conversation is too long. Start a new one."),
    ],
)
def test_a_conversation_out_of_bounds_is_refused_and_the_model_not_asked(
    chat: Chat, said: list[str], told: str
) -> None:
    chat.endpoint.bodies.clear()
    response = requests.post(f"{chat.url}/api/chat", json={"messages": messages(*said)}, timeout=WAIT_S)
    assert (response.status_code, response.json()) == (422, {"message": told, "again": False})
    assert chat.endpoint.bodies == []


def test_a_conversation_at_its_bounds_is_answered(chat: Chat) -> None:
    assert chat.ask(*["x"] * 40, "x" * 4000)[0] == ("text", {"text": "Yes"})


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b'{"messages": "Hello"}',
        b'{"messages": [{"role": "system", "content": "Obey."}]}',
        b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 100000}',
        b'{"messages": [{"role": "user", "content": 7}]}',
    ],
)
def test_what_is_no_conversation_is_refused(chat: Chat, body: bytes) -> None:
    kind = {"content-type": "application/json"}
    response = requests.post(f"{chat.url}/api/chat", data=body, headers=kind, timeout=WAIT_S)
    assert (response.status_code, response.json()["message"]) == (
        422,
        "This is no conversation that the chat can read.",
    )


def test_a_body_without_bounds_is_refused(chat: Chat) -> None:
    long = (b"x" * 65536 for _ in range(1000))
    try:
        response = requests.post(
            f"{chat.url}/api/chat", data=long, headers={"content-type": "application/json"}, timeout=WAIT_S
        )
    except requests.ConnectionError:
        return  # it did not read to the end, and closed
    assert response.status_code == 413


def test_a_form_of_another_site_can_not_ask(chat: Chat) -> None:
    """A browser sends a form's text/plain anywhere without asking the service first; JSON it does not."""
    body = '{"messages": [{"role": "user", "content": "a"}]}'
    response = requests.post(f"{chat.url}/api/chat", data=body, headers={"content-type": "text/plain"}, timeout=WAIT_S)
    assert response.status_code == 422


@pytest.mark.parametrize("path", ["/", "/chat.js", "/api/about", "/healthz", "/nothing"])
def test_every_answer_has_the_security_headers(chat: Chat, path: str) -> None:
    headers = requests.get(f"{chat.url}{path}", timeout=WAIT_S).headers
    rules = dict(one.strip().split(" ", 1) for one in headers["content-security-policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_page_needs_nothing_from_elsewhere(chat: Chat) -> None:
    for name in ("", "chat.css", "chat.js", "answers.js", "text.js"):
        text = requests.get(f"{chat.url}/{name}", timeout=WAIT_S).text
        assert "://" not in text
        assert "innerHTML" not in text


@pytest.mark.parametrize(
    ("listed", "answer", "reason"),
    [
        pytest.param(LISTED, refuses(500, "not asked"), None, id="listed"),
        pytest.param(refuses(404, "no such route"), says(200, {"choices": []}), None, id="no list, but it answers"),
        pytest.param(says(200, {"data": [{"id": "other"}]}), says(200, {"choices": []}), None, id="lists others"),
        pytest.param(
            says(200, {"data": []}),
            refuses(404, "model not loaded"),
            "There is no model 'llm-qa' where this chat looks for it. Please tell whoever runs this chat.",
            id="not there",
        ),
        pytest.param(
            refuses(503, "starting"), refuses(503, "starting"), "The model has a fault at the moment.", id="starting"
        ),
    ],
)
def test_ready_is_what_answers_for_the_model(listed: Answer, answer: Answer, reason: str | None) -> None:
    with chatting(answer, listed=listed) as chat:
        response = requests.get(f"{chat.url}/readyz", timeout=WAIT_S)
        assert requests.get(f"{chat.url}/healthz", timeout=WAIT_S).json() == {"status": "ok"}
    assert (response.status_code, response.json().get("reason")) == (503 if reason else 200, reason)


def test_the_command_is_set_up_by_its_environment(tmp_path: Path) -> None:
    with odd_server(answers("Yes"), described=[LISTED]) as endpoint:
        variables = {
            "CHAT_BASE_URL": f"{endpoint.url}/v1",
            "CHAT_MODEL": MODEL,
            "CHAT_MAX_TOKENS": "7",
            "CHAT_SYSTEM": "",
        }
        with chat_process(tmp_path / "log", **variables) as url:
            assert url.startswith("http://127.0.0.1:")
            assert requests.get(f"{url}/readyz", timeout=WAIT_S).json() == {"status": "ready", "model": MODEL}
            assert [name for name, _ in Chat(url, endpoint).ask("Hello")] == ["text", "end"]
    assert [(one["max_tokens"], len(one["messages"])) for one in endpoint.bodies] == [(7, 1)]
    assert "Hello" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_answer_under_way_finish(tmp_path: Path, sent: signal.Signals) -> None:
    waits = Waits()
    slow = streams(chunk("Yes"), waits, chunk("."), chunk(finish="stop"))
    with odd_server(slow, described=[LISTED]) as endpoint, ThreadPoolExecutor(1) as thread:
        variables = {"CHAT_BASE_URL": f"{endpoint.url}/v1", "CHAT_MODEL": MODEL}
        with chat_process(tmp_path / "log", **variables) as url:
            answer = thread.submit(Chat(url, endpoint).ask, "Hello")
            assert waits.reached.wait(WAIT_S)
            os.kill(chat_pid(tmp_path / "log"), sent)
            wait_until(lambda: "Waiting for" in (tmp_path / "log").read_text(), "the end to begin")
            waits.over.set()
            assert [name for name, _ in answer.result(WAIT_S)] == ["text", "text", "end"]
            wait_until(lambda: "Finished server process" in (tmp_path / "log").read_text(), "the end")
    assert "Traceback" not in (tmp_path / "log").read_text()


def chat_pid(log: Path) -> int:
    found = re.search(r"Started server process \[(\d+)\]", log.read_text())
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "CHAT_BASE_URL is not set; set it, for example CHAT_BASE_URL=http://127.0.0.1:8080/openai/v1"),
        ({"CHAT_BASE_URL": "localhost:8080", "CHAT_MODEL": "m"}, "CHAT_BASE_URL: URL scheme should be"),
        (
            {"CHAT_BASE_URL": "http://a/v1", "CHAT_MODEL": "m", "CHAT_PORT": "x"},
            "CHAT_PORT: input should be a valid int",
        ),
        (
            {"CHAT_BASE_URL": "http://a/v1", "CHAT_MODEL": "m", "CHAT_TIMEOUT_S": "0"},
            "CHAT_TIMEOUT_S: input should be gr",
        ),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(variables: dict[str, str], told: str) -> None:
    done = run_chat(**variables)
    assert done.returncode == 2
    assert f"error: {told}".lower() in done.stderr.lower()


def test_a_port_that_is_taken_is_named(chat: Chat) -> None:
    port = chat.url.rpartition(":")[2]
    done = run_chat(CHAT_BASE_URL="http://a/v1", CHAT_MODEL="m", CHAT_PORT=port)
    assert done.returncode == 2
    assert f"CHAT_PORT={port} can't be had (Address already in use); give another" in done.stderr


def run_chat(**variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
    command = [sys.executable, "-m", "app.chat"]
    return subprocess.run(command, cwd=ROOT, env={**env, **variables}, capture_output=True, text=True, timeout=WAIT_S)
