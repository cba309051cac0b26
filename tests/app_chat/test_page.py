"""The page, as a person in front of a real browser meets it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from harness.chatting import (
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
)

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


@pytest.fixture(scope="module")
def shared() -> Iterator[Chat]:
    with chatting(answers("Yes.")) as chat:
        yield chat


@pytest.fixture
def chat(shared: Chat, page: "Page") -> Chat:
    """The page is open, and the first answer will be "Yes."."""
    shared.answered_by(answers("Yes."))
    page.goto(shared.url)
    return shared


def question(page: "Page") -> "Locator":
    return page.get_by_label("Your question")


def ask(page: "Page", text: str) -> None:
    question(page).fill(text)
    page.get_by_role("button", name="Send").click()


def shown(page: "Page", count: int) -> list[str]:
    """The texts of that many messages, once the last is whole."""
    page.locator("article").nth(count - 1).wait_for()
    page.locator(".coming").wait_for(state="detached")
    assert page.locator("article").count() == count
    return page.locator("article .text").all_inner_texts()


def test_a_question_is_answered_with_text_that_comes_in_pieces(chat: Chat, page: "Page") -> None:
    waits = Waits()
    chat.answered_by(streams(chunk("It runs "), waits, chunk("every hour."), chunk(finish="stop")))
    ask(page, "How often does it run?")
    answer = page.locator("article.model .text")
    answer.get_by_text("It runs").wait_for()
    assert answer.inner_text() == "It runs "
    assert waits.reached.is_set()
    assert page.get_by_role("button", name="Stop").is_visible()
    assert page.get_by_role("log").get_attribute("aria-busy") == "true"
    waits.over.set()
    assert shown(page, 2) == ["How often does it run?", "It runs every hour."]
    assert page.get_by_role("button", name="Send").is_visible()
    assert page.get_by_role("log").get_attribute("aria-busy") == "false"


def test_the_page_says_which_model_answers(chat: Chat, page: "Page") -> None:
    page.get_by_text("with llm-qa").wait_for()
    chat.answered_by(streams(chunk("Yes.", finish="stop", model="llm-qa-of-today")))
    ask(page, "Who is it?")
    shown(page, 2)
    assert page.locator("article.model h2").inner_text() == "llm-qa-of-today"


def test_the_second_question_is_asked_with_the_history(chat: Chat, page: "Page") -> None:
    ask(page, "Is it so?")
    shown(page, 2)
    ask(page, "Why?")
    shown(page, 4)
    assert [one["messages"] for one in chat.endpoint.bodies] == [
        messages("Is it so?"),
        messages("Is it so?", "Yes.", "Why?"),
    ]


def test_a_new_conversation_has_no_history(chat: Chat, page: "Page") -> None:
    ask(page, "Is it so?")
    shown(page, 2)
    page.get_by_role("button", name="New conversation").click()
    assert page.locator("article").count() == 0
    ask(page, "Why?")
    shown(page, 2)
    assert chat.endpoint.bodies[-1]["messages"] == messages("Why?")


def test_a_new_conversation_ends_the_answer_that_is_coming(chat: Chat, page: "Page") -> None:
    until = UntilGone()
    chat.answered_by(streams(chunk("Ye"), until), answers("No."))
    ask(page, "Is it so?")
    page.get_by_text("Ye", exact=True).wait_for()
    page.get_by_role("button", name="New conversation").click()
    assert until.gone.wait(WAIT_S / 2)
    ask(page, "Why?")
    assert shown(page, 2) == ["Why?", "No."]
    assert chat.endpoint.bodies[-1]["messages"] == messages("Why?")


def test_stop_ends_the_answer_here_and_at_the_model_and_keeps_what_was_said(chat: Chat, page: "Page") -> None:
    until = UntilGone()
    chat.answered_by(streams(chunk("One, two"), until), answers("Three."))
    ask(page, "Count.")
    page.get_by_text("One, two").wait_for()
    page.get_by_role("button", name="Stop").click()
    assert until.gone.wait(WAIT_S / 2)
    assert shown(page, 2) == ["Count.", "One, two"]
    assert page.locator("article.model .note").inner_text() == "Stopped."
    ask(page, "Go on.")
    shown(page, 4)
    assert chat.endpoint.bodies[-1]["messages"] == messages("Count.", "One, two", "Go on.")


def test_a_question_that_was_stopped_before_any_answer_is_given_back(chat: Chat, page: "Page") -> None:
    until = UntilGone()
    chat.answered_by(streams(chunk(), until))
    ask(page, "Count.")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Send").wait_for()
    assert question(page).input_value() == "Count."
    assert page.locator("article").count() == 0


def test_an_error_is_shown_and_trying_again_gives_the_answer(chat: Chat, page: "Page") -> None:
    chat.answered_by(refuses(500, "no memory", **{"x-should-retry": "false"}), answers("Yes."))
    ask(page, "Is it so?")
    page.get_by_role("alert").get_by_text("The model has a fault at the moment.").wait_for()
    page.get_by_role("button", name="Try again").click()
    assert shown(page, 2) == ["Is it so?", "Yes."]
    assert page.get_by_role("alert").count() == 0
    assert [one["messages"] for one in chat.endpoint.bodies] == [messages("Is it so?")] * 2


def test_an_answer_that_broke_off_is_kept_until_it_is_asked_for_again(chat: Chat, page: "Page") -> None:
    chat.answered_by(streams(chunk("Half of"), breaks), answers("All of it."))
    ask(page, "Is it so?")
    page.get_by_role("alert").get_by_text("The connection to the model broke off.").wait_for()
    assert shown(page, 2) == ["Is it so?", "Half of"]
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("All of it.").wait_for()
    assert shown(page, 2) == ["Is it so?", "All of it."]


def test_a_question_without_answer_is_not_told_to_the_model_later(chat: Chat, page: "Page") -> None:
    chat.answered_by(refuses(400, "no"), answers("Yes."))
    ask(page, "One?")
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("button", name="Try again").count() == 0, "asking again would not help"
    ask(page, "Two?")
    shown(page, 4)
    assert chat.endpoint.bodies[-1]["messages"] == messages("Two?")


def test_a_chat_that_has_gone_is_told(page: "Page") -> None:
    with chatting(answers("Yes.")) as chat:
        page.goto(chat.url)
        ask(page, "Is it so?")
        shown(page, 2)
    page.route("**/api/chat", lambda route: route.abort())
    ask(page, "Are you there?")
    page.get_by_role("alert").get_by_text("The chat can't be reached. Is it running?").wait_for()
    assert page.get_by_role("button", name="Try again").is_visible()


HOSTILE = '<script>document.title = "hit"</script><img src=x onerror="document.title=\'hit\'"> <b>bold</b>'


def test_html_in_an_answer_or_in_a_question_is_text(chat: Chat, page: "Page") -> None:
    fenced = f"\n```html\n{HOSTILE}\n```\n`{HOSTILE}`"
    chat.answered_by(answers(HOSTILE, fenced))
    ask(page, HOSTILE)
    asked, said = shown(page, 2)
    assert asked == HOSTILE
    assert said.count(HOSTILE) == 3
    assert page.locator("article .text :is(script, img, b)").count() == 0
    assert page.title() == "Chat"


def test_code_in_backticks_is_shown_as_code(chat: Chat, page: "Page") -> None:
    chat.answered_by(
        answers("Type `make", " run`:\n\n```sh\nmake run\n  # `all` of it\n``", "`\nDone, 2 ` left.\n```\nopen")
    )
    ask(page, "How?")
    shown(page, 2)
    answer = page.locator("article.model .text")
    assert answer.locator(":scope > code").all_inner_texts() == ["make run"]
    assert answer.locator("pre code").all_inner_texts() == ["make run\n  # `all` of it", "open"]
    assert "Done, 2 ` left." in answer.inner_text()
    assert "```" not in answer.inner_text()
    assert answer.evaluate("e => e.firstChild.textContent") == "Type "
    assert answer.evaluate("e => e.childNodes[2].textContent") == ":", "no empty line between a text and its code"


def test_enter_sends_and_shift_enter_starts_a_line(chat: Chat, page: "Page") -> None:
    box = question(page)
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.press("Enter")
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    assert box.input_value() == "One\ntwo"
    assert page.locator("article").count() == 0
    page.keyboard.press("Enter")
    assert shown(page, 2) == ["One\ntwo", "Yes."]
    assert box.input_value() == ""


def test_enter_that_ends_a_composition_does_not_send(chat: Chat, page: "Page") -> None:
    question(page).fill("にほ")
    question(page).dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    assert question(page).input_value() == "にほ"
    assert page.locator("article").count() == 0


def test_a_question_can_be_written_and_not_sent_while_an_answer_comes(chat: Chat, page: "Page") -> None:
    waits = Waits()
    chat.answered_by(streams(chunk("Yes"), waits, chunk("."), chunk(finish="stop")))
    ask(page, "Is it so?")
    page.get_by_text("Yes", exact=True).wait_for()
    question(page).fill("Why?")
    question(page).press("Enter")
    assert question(page).input_value() == "Why?"
    waits.over.set()
    assert shown(page, 2) == ["Is it so?", "Yes."]
    assert len(chat.endpoint.bodies) == 1


def test_a_cut_answer_says_so(page: "Page") -> None:
    with chatting(answers("One", "two", finish="length"), max_tokens=2) as chat:
        page.goto(chat.url)
        ask(page, "Count.")
        page.get_by_text("The answer was cut at its limit of tokens.").wait_for()


def test_everything_fits_a_telephone(chat: Chat, page: "Page") -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    chat.answered_by(answers("A " + "long" * 60 + " word, and code:\n```\n" + "wide = " * 40 + "\n```"))
    ask(page, "https://" + "x" * 120)
    shown(page, 2)
    for part in ("html", "main"):
        assert page.locator(part).evaluate("e => e.scrollWidth") <= 390
    for place in (question(page), *(page.get_by_role("button", name=name) for name in ("Send", "New conversation"))):
        box = place.bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_can_be_read_in_light_and_dark(chat: Chat, page: "Page", scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    chat.answered_by(streams(chunk("Use `this`."), breaks))
    ask(page, "Is it so?")
    page.get_by_role("alert").wait_for()
    for text in ("header p", "h2", ".you .text", ".model .text", "code", ".problem p", "#keys", "#send", "#new"):
        contrast = page.locator(text).last.evaluate(CONTRAST)
        assert contrast >= 4.5, f"{text} in {scheme}: {contrast:.2f}"
    light = page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(251, 250, 247)"
    assert light == (scheme == "light")


CONTRAST = """element => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = element;
  while ((rgb(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
  const pair = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(rgb).map(luminance);
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""
"""The contrast of a text with what is behind it, as WCAG 2.2 defines it; 4.5 is its level AA."""


def test_everything_to_act_on_has_a_name(chat: Chat, page: "Page") -> None:
    names = page.locator("button, textarea, [role=log]").evaluate_all(
        "all => all.map((e) => (e.ariaLabel ?? e.labels?.[0]?.textContent ?? '') || e.textContent)"
    )
    assert len(names) == 5
    assert all(name.strip() for name in names)
    assert page.locator("html").get_attribute("lang") == "en"
