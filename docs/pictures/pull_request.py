"""A picture of a pull request as a reviewer reads it.

PYTHONPATH=tests python docs/pictures/pull_request.py docs/images/pull-request.png

The text is the one that is sent to a forge; the page around it is a plain one in the manner of GitHub's.
"""

import argparse
from pathlib import Path

from harness import chromium
from harness.evidence import story

TITLE = "Release demand-forecaster v4"
PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", "Open Sans", Arial, sans-serif; color: #1f2328;
  margin: 0; padding: 24px 32px; width: 916px; background: #fff }}
h1 {{ font-size: 26px; font-weight: 400; margin: 0 0 6px }} h1 span {{ color: #59636e }}
.state {{ background: #1f883d; color: #fff; border-radius: 2em; padding: 5px 12px;
  font-weight: 500; margin-right: 8px }}
.line {{ color: #59636e; padding-bottom: 16px; border-bottom: 1px solid #d1d9e0; margin-bottom: 16px }}
.box {{ border: 1px solid #d1d9e0; border-radius: 6px }}
.head {{ background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px; color: #59636e }}
.head b {{ color: #1f2328 }} .text {{ padding: 16px }} .text > :first-child {{ margin-top: 0 }}
h3 {{ font-size: 17px; margin: 24px 0 12px }} p, ul {{ margin: 0 0 12px }} ul {{ padding-left: 2em }}
table {{ border-collapse: collapse; margin: 0 0 12px }} th, td {{ border: 1px solid #d1d9e0; padding: 6px 13px }}
tr:nth-child(2n) td {{ background: #f6f8fa }} td:first-child {{ white-space: nowrap }}
code {{ background: #818b981f; border-radius: 6px; padding: .2em .4em; font: 85% ui-monospace, Menlo, monospace;
  overflow-wrap: anywhere }}
pre {{ background: #f6f8fa; padding: 12px 16px; border-radius: 6px; overflow: auto }}
pre code {{ background: none; padding: 0 }}
.minus {{ background: #ffebe9; color: #82071e; display: block }}
.plus {{ background: #dafbe1; color: #116329; display: block }}
blockquote {{ border-left: 4px solid #d1d9e0; margin: 0 0 12px; padding: 0 1em; color: #59636e }} a {{ color: #0969da }}
</style><h1>{title} <span>#128</span></h1>
<div class="line"><span class="state">Open</span><b>ostinato-bot</b> wants to merge 1 commit into <code>main</code> from
<code>release/demand-forecaster/v4</code></div>
<div class="box"><div class="head"><b>ostinato-bot</b> commented just now</div><div class="text">{text}</div></div>"""


def render(markdown: str) -> str:
    """The page, with tables as GitHub's Markdown has them."""
    from markdown_it import MarkdownIt

    text = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    start = '<pre><code class="language-diff">'
    head, _, rest = text.partition(start)
    diff, _, tail = rest.partition("</code>")
    kinds = {"-": "minus", "+": "plus"}
    lines = [f'<span class="{kinds.get(line[:1], "same")}">{line}</span>' for line in diff.splitlines()]
    return PAGE.format(title=TITLE, text=f"{head}{start}{''.join(lines)}</code>{tail}")


def main() -> None:
    from delivery.releases.pull_request_text import body

    parser = argparse.ArgumentParser(description="Render a pull request's text and take a picture of it.")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    arguments = parser.parse_args()
    if reason := chromium.missing():
        raise SystemExit(reason)
    with chromium.running() as browser:
        page = browser.new_page(viewport={"width": 980, "height": 700}, device_scale_factor=1.25)
        page.set_content(render(body(story())))
        page.screenshot(path=arguments.picture, full_page=True)


if __name__ == "__main__":
    main()
