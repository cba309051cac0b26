"""A Slack-compatible incoming webhook (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).

Its address is a secret: whoever has it can write. So no error shows it.
"""

from typing import Any

from delivery.retry import RetryPolicy, is_transient, retrying
from pipelines.notifications.notice import Notice
from training.errors import InputError, OstinatoError

WEBHOOK = "OSTINATO_SLACK_WEBHOOK"
TIMEOUT_S = 10
MOST_BLOCKS, LONGEST_TEXT, LONGEST_HEADER = 50, 3000, 150
"""Slack's limits: docs.slack.dev/reference/block-kit/blocks."""
MARKS = {"failed": ":x:", "refused": ":no_entry:", "released": ":white_check_mark:"}
Block = dict[str, Any]


def message_of(notice: Notice) -> dict[str, Any]:
    """The JSON body: `text` for notifications and readers that know no blocks, `blocks` for the rest."""
    blocks: list[Block] = [{"type": "header", "text": _plain(notice.headline)}]
    if notice.message:
        blocks.append(_section(f"{MARKS[notice.kind]} {escape(notice.message)}"))
    blocks += [_section(f"*{escape(name)}*\n{escape(reason)}") for name, reason in notice.refusals]
    if notice.metrics:
        blocks.append(_section(f"```{_cut(escape(_table(notice)), LONGEST_TEXT - 6)}```"))
    links = [f"<{to}|{what}>" if to.startswith("http") else f"{what} `{escape(to)}`" for what, to in notice.links]
    context = {"type": "mrkdwn", "text": _cut(" · ".join([f"run {escape(notice.run)}", *links]), LONGEST_TEXT)}
    blocks = [*blocks[: MOST_BLOCKS - 1], {"type": "context", "elements": [context]}]
    return {"text": escape(notice.headline), "blocks": blocks}


def send(url: str, notice: Notice) -> None:
    """Raises InputError for an address that can't be one, OstinatoError if the notice was not taken."""
    import requests

    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise InputError(f"{WEBHOOK} is no https:// address; give the webhook's")
    body = message_of(notice)
    try:
        answer = retrying(RetryPolicy(), is_transient)(
            requests.post, url, json=body, timeout=TIMEOUT_S, allow_redirects=False
        )
    except requests.RequestException as error:
        # The error's text holds the address.
        raise OstinatoError(f"the webhook of {WEBHOOK} can't be reached ({type(error).__name__})") from None
    if not answer.ok or answer.is_redirect:
        raise OstinatoError(f"the webhook of {WEBHOOK} answered {answer.status_code}: {answer.text[:200]!r}")


def escape(text: str) -> str:
    """Slack's three control characters: docs.slack.dev/messaging/formatting-message-text#escaping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _table(notice: Notice) -> str:
    rows = [("", *notice.columns), *notice.metrics]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, LONGEST_TEXT)}}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": _cut(text, LONGEST_HEADER)}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
