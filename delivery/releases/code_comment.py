"""The checks of the models that a change of code affects: one comment, kept up to date, and a status of the commit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from delivery.documents import markdown
from delivery.documents.verdict import Verdict
from delivery.documents.verdict_markdown import summary, verdict_text
from delivery.forges.choose import forge_of
from delivery.forges.forge import Forge, ForgeUnavailable, Status, same_text
from delivery.releases.pull_request_text import LONGEST
from delivery.retry import RetryPolicy, raised, retrying
from training.errors import InputError

MARKER = "<!-- ostinato quality -->"
"""How the comment is found again. Nobody sees it."""
NAME = "ostinato/quality"
UNFINISHED = "**✗ Did not finish**: there is no verdict; see the log."
_NUMBER = re.compile(r"^(?P<repository>/.+?)/(?P<kind>pull|pulls|-/merge_requests)/(?P<number>\d+)/?$")
_KINDS = {"pull": "github", "pulls": "gitea", "-/merge_requests": "gitlab"}


@dataclass(frozen=True)
class Judged:
    """What came of one model."""

    model: str
    verdict: Verdict | None
    """None where the run ended before there was one."""


@dataclass(frozen=True)
class Proposed:
    """A proposal by its address."""

    number: int
    remote: str
    kind: str
    """Of the forge."""


def proposal_at(url: str) -> Proposed:
    """What an address names, such as https://github.com/OWNER/NAME/pull/12. Raises InputError for another address."""
    parts = urlsplit(url)
    match = _NUMBER.match(parts.path)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc or not match:
        raise InputError(
            f"--pull-request {url!r} is not the address of one; give one such as https://github.com/OWNER/NAME/pull/12"
        )
    remote = f"{parts.scheme}://{parts.netloc}{match['repository']}.git"
    return Proposed(int(match["number"]), remote, _KINDS[match["kind"]])


def outcome(results: Sequence[Judged], details: str = "") -> Status:
    """The status of the commit: a success only if every model passed. details: address of the log."""
    refused = [result.model for result in results if result.verdict and result.verdict.decision == "reject"]
    broken = [result.model for result in results if not result.verdict]
    parts = [f"checks failed: {', '.join(refused)}"] if refused else []
    parts += [f"{', '.join(broken)} did not finish"] if broken else []
    good = f"all checks passed: {len(results)} model{'s' * (len(results) > 1)}" if results else "no model is affected"
    summary = "; ".join(parts) or good
    return Status(
        NAME, "failure" if parts else "success", summary if len(summary) <= 140 else summary[:139] + "…", details
    )


def render_comment(results: Sequence[Judged], details: str = "") -> str:
    """The comment, of at most LONGEST characters; of a longer one the tables are cut at a line's end, with a note."""
    lines = [MARKER, "## Checks of this change", ""]
    lines += ["No model is affected: nothing was trained or judged.", ""] if not results else []
    for result in results:
        decision = summary(result.verdict) if result.verdict else UNFINISHED
        lines += [f"- {markdown.code(result.model)} {decision}"]
    for result in results:
        if result.verdict:
            lines += ["", f"<details><summary>{markdown.text(result.model)}: every metric and check</summary>", ""]
            lines += [verdict_text(result.verdict).rstrip(), "", "</details>"]
    end = f"\n\n{markdown.link('Log and reports', details)}\n" if details else "\n"
    content = "\n".join(lines).rstrip()
    if len(content) + len(end) > LONGEST:
        note = "\n\n</details>\n\n*Shortened; the whole evidence is in the reports of the runs.*"
        content = content[: LONGEST - len(end) - len(note)].rpartition("\n")[0] + note
    return content + end


def write_comment(url: str, results: Sequence[Judged], commit: str = "", details: str = "") -> str:
    """Write the comment, or bring it up to date, and set the status of the commit; say what was done.

    Where nothing is affected, a comment is only brought up to date. Raises InputError for a wrong address or a missing
    token, and ForgeError if the forge refuses.
    """
    proposed = proposal_at(url)
    forge = forge_of(proposed.remote, proposed.kind)
    if forge is None or not forge.has_token:
        raise InputError(f"{url} is commented with a token: set OSTINATO_FORGE_TOKEN or OSTINATO_FORGE_TOKEN_FILE")
    if commit:
        forge.set_status(commit, outcome(results, details))
    return _comment(forge, proposed.number, render_comment(results, details), bool(results))


def _comment(forge: Forge, number: int, content: str, new: bool) -> str:
    """A comment whose answer is lost is looked for before it is written again."""
    for attempt in retrying(RetryPolicy(), raised(ForgeUnavailable)):
        existing = next((comment for comment in forge.comments(number) if comment.text.startswith(MARKER)), None)
        if existing is None and not new:
            return "nothing to say"
        if existing is not None and same_text(existing.text, content):
            return "the comment is up to date"
        with attempt:
            if existing is not None:
                forge.edit_comment(number, existing, content)
                return "brought the comment up to date"
            forge.comment(number, content)
            return "wrote the comment"
    raise AssertionError
