"""What the gate says of a proposed change of code: one comment that is kept up to date, and a status of the commit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from delivery.documents import markdown
from delivery.documents.verdict import Verdict
from delivery.documents.verdict_markdown import counted, headline, verdict_text
from delivery.forges.choose import forge_of
from delivery.forges.forge import Comment, Forge, ForgeUnavailable, Status, same_text
from delivery.releases.pull_request_text import LONGEST
from delivery.retry import RetryPolicy, raised, retrying
from training.errors import InputError

MARKER = "<!-- ostinato quality -->"
"""How the comment is found again. Nobody sees it."""
NAME = "ostinato/quality"
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
    found = _NUMBER.match(parts.path)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc or not found:
        raise InputError(
            f"--pull-request {url!r} is no address of one; give one such as https://github.com/OWNER/NAME/pull/12"
        )
    remote = f"{parts.scheme}://{parts.netloc}{found['repository']}.git"
    return Proposed(int(found["number"]), remote, _KINDS[found["kind"]])


def outcome(judged: Sequence[Judged], details: str = "") -> Status:
    """The status of the commit: a success only if every model passed. details: address of the log."""
    refused = [one.model for one in judged if one.verdict and one.verdict.decision == "reject"]
    broken = [one.model for one in judged if not one.verdict]
    parts = [f"the gate said no to {', '.join(refused)}"] if refused else []
    parts += [f"{', '.join(broken)} did not finish"] if broken else []
    good = f"{len(judged)} model{'s' * (len(judged) > 1)} passed the gate" if judged else "no model is affected"
    told = "; ".join(parts) or good
    return Status(NAME, "failure" if parts else "success", told if len(told) <= 140 else told[:139] + "…", details)


def text(judged: Sequence[Judged], details: str = "") -> str:
    """The comment, of at most LONGEST characters; of a longer one the tables are cut at a line's end, with a note."""
    lines = [MARKER, "## What the gate says of this change", ""]
    lines += ["No model is affected: nothing was trained or judged.", ""] if not judged else []
    for one in judged:
        lines += [f"- {markdown.code(one.model)} {_said(one.verdict)}"]
    for one in judged:
        if one.verdict:
            lines += ["", f"<details><summary>{markdown.text(one.model)}: every metric and check</summary>", ""]
            lines += [verdict_text(one.verdict).rstrip(), "", "</details>"]
    end = f"\n\n{markdown.link('Log and reports', details)}\n" if details else "\n"
    told = "\n".join(lines).rstrip()
    if len(told) + len(end) > LONGEST:
        note = "\n\n</details>\n\n*Shortened; the whole evidence is in the reports of the runs.*"
        told = told[: LONGEST - len(end) - len(note)].rpartition("\n")[0] + note
    return told + end


def _said(verdict: Verdict | None) -> str:
    """The decision and what it rests on, in one line."""
    if verdict is None:
        return "**✗ Did not finish**: there is no verdict; see the log."
    mark = "**✓ Pass**" if verdict.decision == "pass" else "**✗ Reject**"
    return f"{mark}: {headline(verdict)}. {counted(verdict)}."


def tell(url: str, judged: Sequence[Judged], commit: str = "", details: str = "") -> str:
    """Write the comment, or bring it up to date, and set the status of the commit; say what was done.

    Where nothing is affected, a comment is only brought up to date. Raises InputError for a wrong address or a missing
    token, and ForgeError if the forge refuses.
    """
    proposed = proposal_at(url)
    forge = forge_of(proposed.remote, proposed.kind)
    if forge is None or not forge.has_token:
        raise InputError(f"{url} is commented with a token: set OSTINATO_FORGE_TOKEN or OSTINATO_FORGE_TOKEN_FILE")
    if commit:
        forge.set_status(commit, outcome(judged, details))
    return _comment(forge, proposed, text(judged, details), bool(judged))


def _comment(forge: Forge, proposed: Proposed, wanted: str, new: bool) -> str:
    """A comment whose answer is lost is looked for before it is written again."""
    for attempt in retrying(RetryPolicy(), raised(ForgeUnavailable)):
        found = _ours(forge.comments(proposed))
        if found is None and not new:
            return "nothing to say"
        if found is not None and same_text(found.text, wanted):
            return "the comment is up to date"
        with attempt:
            if found is not None:
                forge.edit_comment(proposed, found, wanted)
                return "brought the comment up to date"
            forge.comment(proposed, wanted)
            return "wrote the comment"
    raise AssertionError


def _ours(comments: Sequence[Comment]) -> Comment | None:
    return next((one for one in comments if one.text.startswith(MARKER)), None)
