"""A browser for the page, and a real language model's server."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from harness import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Not for the whole session: while playwright runs, its event loop does, and no test can start one of its own."""
    if reason := chromium.missing():
        pytest.skip(reason)
    with chromium.running() as browser:
        yield browser


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """A page of a profile of its own. The test fails if a script of it does, or if the policy had to stop anything."""
    context = browser.new_context()
    context.set_default_timeout(30_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    assert [one for one in wrong if not one.startswith("Failed to load resource")] == []
