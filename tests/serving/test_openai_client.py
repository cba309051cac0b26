"""The client of a language model: what it says when the other side is down, slow, or talks nonsense."""

import socket
import sys
from typing import Any

import pytest
from harness.odd_servers import Answer, hangs_up, is_cut_off, odd_server, says
from harness.servers import free_port

from delivery.serving.clients.chat import ChatModel, SamplingParameters, openai_url
from training.errors import InputError, OstinatoError

MESSAGES = [{"role": "user", "content": "Hello"}]


def whole(content: Any, **more: Any) -> Answer:
    return says(
        200, {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}], **more}
    )


def events(*data: str) -> Answer:
    return says(200, "".join(f"data: {one}\n\n" for one in data), "text/event-stream")


CHUNK = '{"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": null}]}'
ODD: dict[str, tuple[Answer, str]] = {
    "refuses": (says(429, {"error": {"message": "too many", "code": None}}), "answered 429: too many"),
    "plain error": (says(404, {"error": "Model with name x does not exist."}), "answered 404: Model with name x"),
    "no JSON": (says(502, "<html>Bad Gateway", "text/html"), "answered 502: <html>Bad Gateway"),
    "empty refusal": (says(500, ""), "answered 500: "),
    "page": (says(200, "<html>Welcome", "text/html"), "gave no answer of OpenAI's protocol"),
    "no choices": (says(200, {}), "gave no answer of OpenAI's protocol"),
    "none of them": (says(200, {"choices": []}), "gave no answer of OpenAI's protocol"),
    "no text": (whole(None), "the answer is None, no text"),
    "a list": (says(200, [1]), "gave no answer of OpenAI's protocol"),
    "hangs up": (hangs_up, "nobody answers at "),
    "cut off": (is_cut_off, "nobody answers at "),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_answer_is_an_error_that_names_the_url(kind: str) -> None:
    answer, words = ODD[kind]
    with odd_server(answer) as server:
        with pytest.raises(OstinatoError, match=words) as caught:
            ChatModel(f"{server.url}/v1", "guide").answer(MESSAGES, SamplingParameters())
        assert server.url in str(caught.value) and len(server.bodies) == 1  # it is not asked again


STREAMS: dict[str, tuple[Answer, str]] = {
    "refuses": (says(400, {"error": {"message": "too long"}}), "answered 400: too long"),
    "nonsense": (events(CHUNK, "nonsense"), "gave no answer of OpenAI's protocol"),
    "an error on the way": (events(CHUNK, '{"error": {"message": "out of memory"}}'), "out of memory"),
    "hangs up": (hangs_up, "nobody answers at "),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_that_breaks_is_an_error_that_names_the_url(kind: str) -> None:
    answer, words = STREAMS[kind]
    with odd_server(answer) as server:
        with pytest.raises(OstinatoError, match=words) as caught:
            list(ChatModel(f"{server.url}/v1", "guide").stream(MESSAGES, SamplingParameters()))
        assert server.url in str(caught.value)


def test_a_server_that_does_not_answer_in_time_is_told_with_the_time() -> None:
    with odd_server(says(200, {})) as server:
        server.answers["POST"] = [server.hangs]
        model = ChatModel(f"{server.url}/v1", "guide", timeout_s=0.3)
        with pytest.raises(OstinatoError, match=r"did not answer within 0\.3 s"):
            model.answer(MESSAGES, SamplingParameters())
        with pytest.raises(OstinatoError, match=r"did not answer within 0\.3 s"):
            list(model.stream(MESSAGES, SamplingParameters()))


def test_nobody_at_the_address_is_told() -> None:
    with pytest.raises(OstinatoError, match=r"nobody answers at http://127.0.0.1:.*; is the server running"):
        ChatModel(f"http://127.0.0.1:{free_port()}/v1", "guide").models()


def test_the_request_has_what_was_wanted_and_no_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    headers: list[str] = []

    def looks(handler: Any) -> None:
        headers.append(str(handler.headers))
        whole("Hi", usage={"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3})(handler)

    with odd_server(looks) as server:
        found = ChatModel(f"{server.url}/v1", "guide").answer(MESSAGES, SamplingParameters(7, 0.0, ("END",)))
        assert (found.text, found.finish_reason, found.prompt_tokens, found.tokens) == ("Hi", "stop", 2, 1)
        asked = {"model": "guide", "messages": MESSAGES, "max_tokens": 7, "temperature": 0.0, "stop": ["END"]}
        assert server.bodies == [asked]
    assert "secret" not in headers[0]


def test_a_streamed_answer_is_timed_and_its_tokens_are_the_servers_or_its_pieces() -> None:
    usage = '{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10}}'
    with odd_server(events(CHUNK, CHUNK, usage, "[DONE]"), events(CHUNK, CHUNK, "[DONE]")) as server:
        model = ChatModel(f"{server.url}/v1", "guide")
        for tokens in (9, 2):
            timed = model.timed(MESSAGES, SamplingParameters())
            assert (timed.text, timed.tokens) == ("HiHi", tokens)
            assert 0 < timed.first_s <= timed.whole_s


def test_an_address_gets_the_routes_of_the_runtime_and_a_base_url_is_taken_as_it_is() -> None:
    assert openai_url("http://127.0.0.1:8080/", "openai/v1") == "http://127.0.0.1:8080/openai/v1"
    assert openai_url("https://llm.example.org/openai/v1/", "openai/v1") == "https://llm.example.org/openai/v1"
    assert openai_url("https://llm.example.org/models/llm/v1", "openai/v1") == "https://llm.example.org/models/llm/v1"
    for wrong in ("", "llm.example.org", "ftp://llm.example.org", "http://", "http://[::1"):
        with pytest.raises(InputError, match="is no address"):
            openai_url(wrong, "v1")


def test_without_the_openai_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match=r"needs openai, .*install ostinato\[llm\]"):
        ChatModel("http://127.0.0.1:1/v1", "guide")


def test_a_socket_that_takes_and_says_nothing_is_a_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/v1"
        with pytest.raises(OstinatoError, match=r"did not answer within 0\.2 s"):
            ChatModel(url, "guide", timeout_s=0.2).models()
