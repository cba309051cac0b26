"""What a user is told, and what the log is told, when the language model's endpoint fails in its ways."""

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests
from harness.chatting import (
    MODEL,
    WAIT_S,
    Chat,
    UntilGone,
    Waits,
    answers,
    breaks,
    chatting,
    chunk,
    messages,
    refuses,
    streams,
    usage,
)
from harness.odd_servers import Answer, hangs_up, says

WHOLE = [("text", {"text": "Yes"}), ("text", {"text": "."}), ("end", {"model": MODEL, "cut": False})]


@pytest.fixture(scope="module")
def shared() -> Iterator[Chat]:
    with chatting(answers("Yes", "."), api_key="a-secret-key") as chat:
        yield chat


@pytest.fixture
def chat(shared: Chat, caplog: pytest.LogCaptureFixture) -> Chat:
    caplog.set_level(logging.INFO)
    shared.answered_by(answers("Yes", "."))
    return shared


def problem(message: str, again: bool) -> tuple[str, dict[str, object]]:
    return "problem", {"message": message, "again": again}


def test_an_answer_is_given_in_its_pieces(chat: Chat) -> None:
    assert chat.ask("Is it so?") == WHOLE


def test_the_pieces_are_passed_on_when_they_come(chat: Chat) -> None:
    waits = Waits()
    chat.answered_by(streams(chunk("Yes"), waits, chunk("."), chunk(finish="stop")))
    with requests.post(
        f"{chat.url}/api/chat", json={"messages": messages("?")}, stream=True, timeout=WAIT_S
    ) as response:
        lines = response.iter_lines(chunk_size=1, decode_unicode=True)
        assert [next(lines), next(lines)] == ["event: text", 'data: {"text": "Yes"}']
        waits.over.set()
        assert "event: end" in list(lines)


def test_the_endpoint_gets_the_conversation_the_model_and_the_limit_of_tokens(chat: Chat) -> None:
    chat.ask("One?", "Two.", "Three?")
    (body,) = chat.endpoint.bodies
    assert body["messages"] == messages("One?", "Two.", "Three?")
    assert (body["model"], body["max_tokens"], body["stream"]) == (MODEL, 512, True)


def test_the_system_message_comes_first_if_there_is_one() -> None:
    with chatting(answers("Yes"), system="Be brief.") as chat:
        chat.ask("One?")
        assert chat.endpoint.bodies[0]["messages"] == [{"role": "system", "content": "Be brief."}, *messages("One?")]


@pytest.mark.parametrize(
    ("first", "tried"),
    [
        pytest.param([refuses(500, "no memory")] * 2, 3, id="two faults"),
        pytest.param([refuses(503, "starting")], 2, id="starting"),
        pytest.param([hangs_up], 2, id="hangs up"),
        pytest.param([streams(chunk(), breaks)], 2, id="breaks before the first token"),
    ],
)
def test_a_failure_before_the_first_token_is_tried_again(chat: Chat, first: list[Answer], tried: int) -> None:
    chat.answered_by(*first, answers("Yes", "."))
    assert chat.ask("Is it so?") == WHOLE
    assert len(chat.endpoint.bodies) == tried


def test_an_endpoint_that_is_too_busy_is_asked_again_when_it_says(chat: Chat) -> None:
    chat.answered_by(refuses(429, "too many requests", **{"retry-after": "2"}), answers("Yes", "."))
    began = time.monotonic()
    assert chat.ask("Is it so?") == WHOLE
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize(
    ("end", "logged"),
    [
        pytest.param(breaks, "the answer broke off: RemoteProtocolError", id="connection"),
        pytest.param("", "the stream ended without a finish_reason", id="stream"),
    ],
)
def test_an_answer_that_breaks_off_is_told_and_not_asked_for_again(
    chat: Chat, caplog: pytest.LogCaptureFixture, end: Answer | str, logged: str
) -> None:
    chat.answered_by(streams(chunk("Ye"), end), answers("No", "."))
    assert chat.ask("Is it so?") == [("text", {"text": "Ye"}), problem("The connection to the model broke off.", True)]
    assert len(chat.endpoint.bodies) == 1
    assert logged in caplog.text


def test_a_fault_that_is_reported_inside_of_the_stream_is_told(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    chat.answered_by(streams(chunk("Ye"), 'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n'))
    assert chat.ask("Is it so?")[1:] == [problem("The model reported a fault while it was answering.", True)]
    assert "CUDA out of memory" in caplog.text


TELL = "Please tell whoever runs this chat."


@pytest.mark.parametrize(
    ("status", "said", "told", "again"),
    [
        (401, "Incorrect API key", f"This chat is not allowed to ask the model. {TELL}", False),
        (403, "Not yours", f"This chat is not allowed to ask the model. {TELL}", False),
        (404, "No such model", f"There is no model 'llm-qa' where this chat looks for it. {TELL}", False),
        (400, "temperature is wrong", "The model did not accept this question.", False),
        (
            400,
            "The maximum context length is 512 tokens",
            "This conversation is too long for the model. Start a new one.",
            False,
        ),
        (413, "Too much", "This conversation is too long for the model. Start a new one.", False),
        (405, "Method Not Allowed", f"The model's endpoint refused the question. {TELL}", False),
        (500, "No memory", "The model has a fault at the moment.", True),
        (429, "Slow down", "The model has too much to do at the moment. Try again in a little while.", True),
    ],
)
def test_a_refusal_is_told_in_plain_words_and_logged_in_the_endpoints(
    chat: Chat, caplog: pytest.LogCaptureFixture, status: int, said: str, told: str, again: bool
) -> None:
    chat.answered_by(refuses(status, said, **{"x-should-retry": "false"}))
    assert chat.ask("Is it so?") == [problem(told, again)]
    assert len(chat.endpoint.bodies) == 1
    assert f"Error code: {status} - {said}" in caplog.text


def test_the_window_of_the_model_is_known_by_the_code_too(chat: Chat) -> None:
    chat.answered_by(refuses(422, "Too much", code="context_length_exceeded"))
    assert chat.ask("?") == [problem("This conversation is too long for the model. Start a new one.", False)]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(says(200, "<html>Welcome</html>", "text/html"), id="a page"),
        pytest.param(streams("data: {not json\n\n"), id="no JSON"),
        pytest.param(streams("data: [1, 2]\n\n"), id="a list"),
        pytest.param(streams("data: 7\n\n"), id="a number"),
        pytest.param(streams(chunk(choices=["Yes"])), id="a choice that is text"),
        pytest.param(streams(chunk(choices=[{"text": "Yes"}])), id="a completion that is no chat"),
        pytest.param(streams(chunk(choices=[{"delta": {"content": {"a": 1}}}])), id="text that is an object"),
        pytest.param(streams(), id="nothing"),
    ],
)
def test_what_is_no_chat_completion_is_told(chat: Chat, caplog: pytest.LogCaptureFixture, answer: Answer) -> None:
    chat.answered_by(answer)
    assert chat.ask("Is it so?") == [problem(f"What came back is not an answer. {TELL}", True)]
    assert "Malformed: " in caplog.text


def test_an_empty_answer_is_told(chat: Chat) -> None:
    chat.answered_by(answers())
    assert chat.ask("Is it so?") == [problem("The model answered with nothing.", True)]


def test_an_endpoint_that_is_not_there_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with chatting(answers("Yes"), base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1") as chat:
            assert chat.ask("Is it so?") == [problem("The model can't be reached at the moment.", True)]
    assert "All connection attempts failed" in caplog.text


def test_a_model_that_does_not_begin_is_given_up_and_its_request_is_ended() -> None:
    until = UntilGone()
    with chatting(streams(chunk(), until), first_token_s=0.5) as chat:
        assert chat.ask("Is it so?") == [problem("The model did not begin to answer within 0.5 seconds.", True)]
        assert until.gone.wait(WAIT_S)
        assert len(chat.endpoint.bodies) == 1


def test_retries_are_within_the_time_for_the_first_token() -> None:
    with chatting(refuses(500, "no memory"), first_token_s=1) as chat:
        assert chat.ask("Is it so?") == [problem("The model did not begin to answer within 1 seconds.", True)]


def test_an_answer_without_end_is_given_up_and_its_request_is_ended() -> None:
    until = UntilGone()
    with chatting(streams(chunk("Ye"), until), timeout_s=1) as chat:
        told = problem("The answer took longer than 1 seconds.", True)
        assert chat.ask("Is it so?") == [("text", {"text": "Ye"}), told]
        assert until.gone.wait(WAIT_S)


@pytest.mark.parametrize("begun", [True, False])
def test_a_browser_that_goes_away_ends_the_request_to_the_model(chat: Chat, begun: bool) -> None:
    waits, until = Waits(), UntilGone()
    waits.over.set()
    chat.answered_by(streams(chunk("Ye" if begun else None), waits, until))
    response = requests.post(f"{chat.url}/api/chat", json={"messages": messages("?")}, stream=True, timeout=WAIT_S)
    assert waits.reached.wait(WAIT_S)
    response.close()
    assert until.gone.wait(WAIT_S / 2)


def test_only_an_answer_at_the_limit_of_tokens_is_told_to_be_cut() -> None:
    with chatting(answers("A", "B", finish="length"), max_tokens=2) as chat:
        assert chat.ask("?")[-1] == ("end", {"model": MODEL, "cut": True})
        always = [chunk(piece, finish="length") for piece in ("A", "B")]  # as KServe's Hugging Face backend does
        chat.answered_by(streams(*always))
        assert chat.ask("?")[-1] == ("end", {"model": MODEL, "cut": False})
        chat.answered_by(streams(*always[:1], usage(1)))
        assert chat.ask("?")[-1] == ("end", {"model": MODEL, "cut": False})


def test_many_ask_at_once(chat: Chat) -> None:
    waits = [Waits() for _ in range(8)]
    chat.answered_by(*(streams(chunk("Yes"), one, chunk("."), chunk(finish="stop")) for one in waits))
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(chat.ask("?"))) for _ in waits]
    for thread in threads:
        thread.start()
    assert all(one.reached.wait(WAIT_S) for one in waits)
    for one in waits:
        one.over.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert found == [WHOLE] * len(waits)


def test_the_key_is_sent_and_never_logged(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    keys: list[str | None] = []

    def remember(handler: object) -> None:
        keys.append(handler.headers["authorization"])
        refuses(401, "Incorrect API key")(handler)

    chat.answered_by(remember)
    chat.ask("?")
    assert keys == ["Bearer a-secret-key"]
    assert "a-secret-key" not in caplog.text


def test_a_key_that_is_meant_for_another_endpoint_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str | None] = []

    def remember(handler: object) -> None:
        keys.append(handler.headers["authorization"])
        answers("Yes")(handler)

    monkeypatch.setenv("OPENAI_API_KEY", "for-another")
    with chatting(remember) as chat:
        chat.ask("?")
    assert keys == ["Bearer none"]
