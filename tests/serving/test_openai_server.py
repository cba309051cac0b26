"""A served language model as an application meets it: the openai SDK against a real process, and what it refuses."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import requests
from harness.tiny_models import tiny_model
from serving.talkers import ANSWERS, NAME, QUESTIONS, asks

from delivery.serving.clients.chat import ChatModel, SamplingParameters
from delivery.serving.process.process import RunningServer
from training.errors import OstinatoError

GREEDY: dict[str, Any] = {"model": NAME, "temperature": 0}
SPECIAL = QUESTIONS[2]
"""Its answer has characters of several bytes."""


@pytest.fixture(scope="module")
def client(talker_server: RunningServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=talker_server.openai, api_key="none", max_retries=0)


def create(client: openai.OpenAI, question: str, **wanted: Any) -> Any:
    ask: Any = client.chat.completions.create
    return ask(messages=asks(question), **{**GREEDY, **wanted})


def said(client: openai.OpenAI, question: str, **wanted: Any) -> str:
    return create(client, question, **wanted).choices[0].message.content


def streamed(client: openai.OpenAI, question: str, **wanted: Any) -> list[str]:
    chunks = create(client, question, stream=True, **wanted)
    return [one.choices[0].delta.content for one in chunks if one.choices and one.choices[0].delta.content]


def test_every_question_is_answered_as_it_was_learned_whole_and_in_pieces(client: openai.OpenAI) -> None:
    for question, answer in ANSWERS.items():
        assert said(client, question) == answer
        pieces = streamed(client, question)
        assert "".join(pieces) == answer and len(pieces) > 4
        assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_an_answer_says_why_it_ended_and_what_it_took(client: openai.OpenAI) -> None:
    found = create(client, QUESTIONS[0])
    (choice,) = found.choices
    assert (choice.finish_reason, choice.message.role, found.model) == ("stop", "assistant", NAME)
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    cut = create(client, QUESTIONS[0], max_tokens=3)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)
    assert ANSWERS[QUESTIONS[0]].startswith(cut.choices[0].message.content)
    newer = create(client, QUESTIONS[0], max_completion_tokens=3)
    assert newer.choices[0].message.content == cut.choices[0].message.content


def test_a_stream_ends_with_its_reason_its_usage_where_asked_and_done(talker_server: RunningServer) -> None:
    body = {**GREEDY, "messages": asks(QUESTIONS[3]), "stream": True, "stream_options": {"include_usage": True}}
    response = requests.post(f"{talker_server.openai}/chat/completions", json=body, timeout=60)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(one) for one in events]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 4
    assert [one["choices"][0]["finish_reason"] for one in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]


def test_an_answer_ends_before_a_stop_text_even_if_it_comes_in_pieces(client: openai.OpenAI) -> None:
    for stop, expected in (
        (" the compass", "Follow the needle of"),
        (["river", "of the"], "Follow the needle "),
        ("no such text", ANSWERS[QUESTIONS[0]]),
        ("Follow", ""),
        ("river.", "Follow the needle of the compass, then the "),
    ):
        assert said(client, QUESTIONS[0], stop=stop) == expected
        assert "".join(streamed(client, QUESTIONS[0], stop=stop)) == expected
    stopped = create(client, QUESTIONS[0], stop=["needle"])
    assert stopped.choices[0].finish_reason == "stop"
    assert "".join(streamed(client, SPECIAL, stop="本")) == "Ja, für 5 € – 日"


def test_a_completion_goes_on_from_a_text_without_the_chat_template(client: openai.OpenAI) -> None:
    asked = "<|im_start|>user\nHow far is it?<|im_end|>\n<|im_start|>assistant\nTwo hours"
    found = client.completions.create(model=NAME, prompt=asked, temperature=0, max_tokens=4)
    assert ANSWERS["How far is it?"].startswith(f"Two hours{found.choices[0].text}")
    assert found.usage and found.usage.completion_tokens == 4 and found.object == "text_completion"
    pieces = client.completions.create(model=NAME, prompt=asked, temperature=0, max_tokens=4, stream=True)
    assert "".join(one.choices[0].text for one in pieces) == found.choices[0].text


def test_a_seed_gives_the_same_answer_again_and_another_seed_another(client: openai.OpenAI) -> None:
    def drawn(seed: int) -> str:
        return said(client, "the the the", temperature=2, seed=seed, max_tokens=24)

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) > 1
    assert said(client, QUESTIONS[0], temperature=1, top_p=0.01, seed=1) == ANSWERS[QUESTIONS[0]]


def test_the_models_and_the_health_routes_of_kserve(talker_server: RunningServer, client: openai.OpenAI) -> None:
    assert [one.id for one in client.models.list()] == [NAME]
    for path, status in (
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        (f"/v2/models/{NAME}/ready", 200),
        ("/v2/models/another/ready", 404),
        ("/v1/chat/completions", 404),
    ):
        assert requests.get(talker_server.url + path, timeout=5).status_code == status, path


REFUSED: dict[str, tuple[dict[str, Any], int, str | None, str]] = {
    "unknown model": ({"model": "another"}, 404, "model", "does not exist; there is guide"),
    "no messages": ({"messages": []}, 400, "messages", "at least 1 item"),
    "unknown role": ({"messages": [{"role": "boss", "content": "x"}]}, 400, "messages.0.role", "'system', 'user'"),
    "no content": ({"messages": [{"role": "user"}]}, 400, "messages.0.content", "Field required"),
    "negative limit": ({"max_tokens": -3}, 400, "max_tokens", "greater than or equal to 1"),
    "no number": ({"max_tokens": "many"}, 400, "max_tokens", "valid integer"),
    "temperature": ({"temperature": 3}, 400, "temperature", "less than or equal to 2"),
    "top_p": ({"top_p": 0}, 400, "top_p", "greater than 0"),
    "empty stop": ({"stop": ""}, 400, "stop.0", "at least 1 character"),
    "many stops": ({"stop": ["a"] * 5}, 400, "stop", "at most 4"),
    "two answers": ({"n": 2}, 400, "n", "Input should be 1"),
    "tools": ({"tools": [{"type": "function"}]}, 400, None, "tools is not supported"),
    "too long": ({"messages": asks("word " * 300)}, 400, "messages", "maximum context length is 256 tokens"),
    "too long an answer": ({"max_tokens": 256}, 400, "messages", "maximum context length is 256 tokens"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_wrong_request_is_refused_in_openais_form(client: openai.OpenAI, kind: str) -> None:
    changes, status, param, words = REFUSED[kind]
    body = {**GREEDY, "messages": asks(QUESTIONS[0]), **changes}
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            client.post("/chat/completions", body={**body, "stream": stream}, cast_to=object)
        error: Any = caught.value.body
        assert (caught.value.status_code, error["param"], error["type"]) == (status, param, "invalid_request_error")
        assert words in error["message"], error
    codes = {"unknown model": "model_not_found", "too long": "context_length_exceeded"}
    code = codes.get(kind.removesuffix(" an answer"))
    assert error["code"] == code


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"model": 1}', "\x00", "[" * 5000])
def test_a_body_that_is_no_request_is_refused_in_openais_form(talker_server: RunningServer, body: str) -> None:
    for route in ("chat/completions", "completions"):
        found = requests.post(f"{talker_server.openai}/{route}", data=body.encode(), timeout=10)
        assert found.status_code == 400 and found.json()["error"]["message"], found.text


def test_nulls_are_as_good_as_nothing_and_content_may_be_parts(client: openai.OpenAI) -> None:
    given: Any = {"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTIONS[1]}]}], "user": "u"}
    nothing = dict.fromkeys(("max_tokens", "stop", "n", "stream", "seed", "top_p", "tools"))
    found: Any = client.post("/chat/completions", body={**GREEDY, **given, **nothing}, cast_to=object)
    assert found["choices"][0]["message"]["content"] == ANSWERS[QUESTIONS[1]]


def test_callers_at_the_same_time_are_all_answered(talker_server: RunningServer) -> None:
    found: dict[str, str] = {}

    def ask(question: str) -> None:
        found[question] = "".join(ChatModel(talker_server.openai, NAME).stream(asks(question), SamplingParameters(64)))

    threads = [threading.Thread(target=ask, args=(question,)) for question in QUESTIONS]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert found == ANSWERS


@contextmanager
def endless_server(folder: Path) -> Iterator[str]:
    """An untrained model with a window that takes minutes to fill: only who gives up sees its answer end."""
    import uvicorn
    from harness.servers import free_port

    from delivery.serving.stand_ins.generation import Generator
    from delivery.serving.stand_ins.huggingface import app_of

    model = tiny_model(folder, [*ANSWERS], hidden=16, layers=1, window=100_000)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app_of(Generator(model), {NAME: True}), port=port, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        url = f"http://127.0.0.1:{port}"
        session = requests.Session()
        while True:
            try:
                if session.get(f"{url}/v2/health/ready", timeout=5).ok:
                    break
            except requests.ConnectionError:
                assert thread.is_alive()
        yield f"{url}/openai/v1"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def test_who_goes_away_ends_the_answer_and_the_next_caller_is_served(tmp_path: Path) -> None:
    with endless_server(tmp_path / "model") as url:
        model, long = ChatModel(url, NAME, timeout_s=30), SamplingParameters(90_000)
        pieces = model.stream(asks("x"), long)
        assert next(pieces)
        pieces.close()
        assert model.answer(asks("x"), SamplingParameters(2)).tokens == 2
        with pytest.raises(OstinatoError, match=r"did not answer within 0\.5 s"):
            ChatModel(url, NAME, timeout_s=0.5).answer(asks("x"), long)
        assert model.answer(asks("x"), SamplingParameters(2)).tokens == 2
