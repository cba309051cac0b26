"""The chat with a real language model behind a real server: a tiny untrained one, so that what it says has no sense."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import requests
from harness.chatting import MODEL, WAIT_S, chat_process, messages, read_events
from harness.tiny_models import tiny_model

from delivery.serving.process.process import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("torch", reason="the llm extra is not installed: make llm")
TOKENS = 12


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    home = tmp_path_factory.mktemp("language-model")
    model = tiny_model(home / "tiny", ["What is it? It is a model.", "Why? So that it can be served."], seed=3)
    settings = model / "generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_sample": True, "top_k": 1}))  # greedy
    with serving(model, MODEL, runtime="kserve-huggingfaceserver", protocol="openai") as server:
        yield server.openai, MODEL


@pytest.fixture(scope="module")
def chat(endpoint: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base_url, model = endpoint
    log = tmp_path_factory.mktemp("chat") / "log"
    with chat_process(log, CHAT_BASE_URL=base_url, CHAT_MODEL=model, CHAT_MAX_TOKENS=str(TOKENS)) as url:
        yield url


def direct(endpoint: tuple[str, str], *said: str) -> tuple[str, str]:
    """The answer without the chat between, not streamed, and the model that it says it is of."""
    base_url, model = endpoint
    body = {"model": model, "messages": messages(*said), "max_tokens": TOKENS}
    response = requests.post(f"{base_url}/chat/completions", json=body, timeout=WAIT_S)
    answer = response.json()
    return answer["choices"][0]["message"]["content"], answer["model"]


def test_the_service_is_ready(chat: str) -> None:
    assert requests.get(f"{chat}/readyz", timeout=WAIT_S).json()["status"] == "ready"


def test_the_streamed_answer_is_the_models_own(chat: str, endpoint: tuple[str, str]) -> None:
    said = ("What is it?", "A model.", "Why?")
    response = requests.post(f"{chat}/api/chat", json={"messages": messages(*said)}, timeout=WAIT_S)
    events = read_events(response.text)
    pieces = [data["text"] for name, data in events if name == "text"]
    assert len(pieces) > 1
    text, model = direct(endpoint, *said)
    assert "".join(pieces) == text
    assert events[-1] == ("end", {"model": model, "cut": True})


def test_a_browser_shows_the_models_answers_one_after_the_other(
    chat: str, endpoint: tuple[str, str], page: "Page"
) -> None:
    page.goto(chat)
    answers: list[str] = []
    for text in ("What is it?", "Why?"):
        said = [one for pair in zip(("What is it?", "Why?"), answers, strict=False) for one in pair]
        answers.append(direct(endpoint, *said, text)[0])
        page.get_by_label("Your question").fill(text)
        page.keyboard.press("Enter")
        page.locator("article.model").nth(len(answers) - 1).wait_for()
        page.locator(".coming").wait_for(state="detached")
    assert page.get_by_role("alert").count() == 0
    assert [" ".join(one.split()) for one in page.locator("article.model .text").all_text_contents()] == [
        " ".join(one.split()) for one in answers
    ]
