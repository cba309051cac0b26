"""Take a picture of a running chat.

PYTHONPATH=tests python docs/pictures/chat.py http://127.0.0.1:8090 chat.png "A question?" …
"""

import argparse
from pathlib import Path

from harness import chromium

ANSWER_MS = 600_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a running chat, and take a picture of the page.")
    parser.add_argument("url", help="the chat's address")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("questions", nargs="+")
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--height", type=int, default=700)
    parser.add_argument("--dark", action="store_true")
    arguments = parser.parse_args()
    if reason := chromium.missing():
        raise SystemExit(reason)
    with chromium.running() as browser:
        page = browser.new_page(
            viewport={"width": arguments.width, "height": arguments.height},
            color_scheme="dark" if arguments.dark else "light",
        )
        page.goto(arguments.url)
        page.get_by_text("the model", exact=True).wait_for(state="detached")
        for place, question in enumerate(arguments.questions):
            page.get_by_label("Your question").fill(question)
            page.keyboard.press("Enter")
            page.locator("article.model").nth(place).wait_for()
            page.locator(".coming").wait_for(state="detached", timeout=ANSWER_MS)
            if page.get_by_role("alert").count():
                raise SystemExit(page.get_by_role("alert").inner_text())
        page.screenshot(path=arguments.picture)


if __name__ == "__main__":
    main()
