"""The text of a pull request: the evidence, so that a reviewer decides from it without opening anything else.

A view of the verdict, the data card and the two manifests; equal input gives equal bytes.
"""

from dataclasses import dataclass

from delivery.documents.data_card import DataCard
from delivery.documents.markdown import code, link, text
from delivery.documents.verdict import Verdict
from delivery.documents.verdict_markdown import (
    ROWS,
    checks_table,
    judges_list,
    metrics_table,
    slices_table,
    summary,
    warnings_list,
)
from delivery.kserve.manifest import ServedVersion
from delivery.releases.proposal import ManifestChange

LONGEST = 60_000
"""Characters; GitHub takes 65,536."""


@dataclass(frozen=True)
class Link:
    label: str
    url: str


@dataclass(frozen=True)
class Story:
    """What a body is made of."""

    name: str
    version: str
    change: ManifestChange
    canary_percent: int = 0
    """Of the requests that the version gets first; 0 for all of them."""
    verdict: Verdict | None = None
    card: DataCard | None = None
    missing: str = ""
    """Why there is no verdict, "" if there is one."""
    links: tuple[Link, ...] = ()


def body(story: Story) -> str:
    """Markdown of at most LONGEST characters; of a longer one the evidence is cut at a line's end, with a note."""
    evidence = [_decision(story)]
    if story.verdict:
        evidence += [
            metrics_table(story.verdict),
            checks_table(story.verdict),
            slices_table(story.verdict),
            _data(story),
        ]
        warnings = (*story.verdict.warnings, *(story.card.warnings if story.card else ()))
        evidence += [judges_list(story.verdict), warnings_list(warnings)]
    elif story.missing:
        evidence.append([f"> **The evidence could not be read back:** {text(story.missing, 1000)}"])
    change = ["### What changes", "", *change_lines(story.change, story.version)]
    shortened, rest = _joined(evidence), _joined([change, _links(story), _way_back(story)])
    if len(shortened) + len(rest) > LONGEST:
        note = "\n\n*Shortened; the whole evidence is in verdict.json and report.html of the run.*\n\n"
        shortened = shortened[: LONGEST - len(rest) - len(note)].rpartition("\n")[0] + note
    return (shortened + rest).rstrip() + "\n"


def _joined(sections: list[list[str]]) -> str:
    return "".join(f"{line}\n" for section in sections if section for line in [*section, ""])


def _decision(story: Story) -> list[str]:
    """What was decided, from what, and what merging does."""
    share = f" as a canary with {story.canary_percent} % of the requests" if story.canary_percent else ""
    before = story.change.before
    if _ends_takeover(story):
        return [f"When this is merged, the canary of {code(story.name)} goes away; version {story.version} is live."]
    instead = "" if before is None else f", in the place of version {before.version}"
    if story.canary_percent and before:
        instead = f", beside version {before.version}"
    first = " Nothing is live yet." if before is None else ""
    second = " Its canary stays until a second proposal takes it away." if story.change.after.takes_over else ""
    does = (
        f"When this is merged, version {story.version} of {code(story.name)} goes live{share}{instead}.{first}{second}"
    )
    verdict = story.verdict
    if not verdict:
        return [does]
    return [summary(verdict), "", does]


def _ends_takeover(story: Story) -> bool:
    before = story.change.before
    return before is not None and before.takes_over and before.version == story.change.after.version


def _data(story: Story) -> list[str]:
    """What the rows are, which content they have, and what moved in them."""
    verdict, card = story.verdict, story.card
    assert verdict
    drifted = [column.column for column in verdict.drift if column.drifted]
    lines = [f"- Data fingerprint {code(verdict.data_fingerprint)}"]
    if card:
        lines = [
            f"- {card.train.rows:,} rows to train, {card.test.rows:,} to test{_period(card)}",
            f"- Split: {text(card.split)}",
            f"- From {code(card.source)}, snapshot {code(card.snapshot)}",
            *lines,
            f"- Refused rows: {card.refused:,}{_refused(card)}",
        ]
    elif verdict.test_from and verdict.test_to:
        lines.insert(0, f"- Test rows from {verdict.test_from:%Y-%m-%d} to {verdict.test_to:%Y-%m-%d}")
    if verdict.drift:
        named = ": " + ", ".join(text(column, 80) for column in drifted[:ROWS]) if drifted else ""
        count = f"{len(drifted) or 'None'} of {len(verdict.drift)}"
        lines.append(f"- {count} inputs moved between the training and the test rows{named}")
    return ["### Data", "", *lines]


def _period(card: DataCard) -> str:
    if not (card.train.time_from and card.test.time_to):
        return ""
    return f", from {card.train.time_from:%Y-%m-%d} to {card.test.time_to:%Y-%m-%d}"


def _refused(card: DataCard) -> str:
    reasons = sorted(card.refused_by_reason.items(), key=lambda refusal: (-refusal[1], refusal[0]))[:10]
    return f" ({'; '.join(f'{text(why, 120)}: {count:,}' for why, count in reasons)})" if reasons else ""


def change_lines(change: ManifestChange, version: str) -> list[str]:
    """What the manifest names before and after, as a diff; version: the one that the proposal is about."""
    before, after = change.before, change.after
    if before and before.takes_over and before.version == after.version:
        return ["```diff", *(f"  {line}" for line in _facts(after)), f"- canary: version {version}", "```"]
    tried = after.canary if after.canary and after.canary.version == version and not after.takes_over else None
    old = [f"{' ' if tried else '-'} {line}" for line in _facts(before)] if before else []
    return ["```diff", *old, *(f"+ {line}" for line in _facts(tried or after)), "```"]


def _facts(served: ServedVersion) -> list[str]:
    """The values hold no line break and no fence: the first two are checked when a manifest is read."""
    digest = served.digest.split()[0].replace("`", "")
    return [f"version: {served.version}", f"storageUri: {served.storage_uri}", f"digest: {digest}"]


def _links(story: Story) -> list[str]:
    return ["### Links", "", *(f"- {link(entry.label, entry.url)}" for entry in story.links)] if story.links else []


def _way_back(story: Story) -> list[str]:
    ends = f"`ostinato canary {story.name} --abort`" if story.canary_percent else ""
    line = f"After the merge, {ends} takes it away again." if ends else ""
    if not line and story.change.before is None:
        line = "Nothing was live before, so there is nothing to go back to; revert the merge to take the model away."
    if not line:
        before = story.change.before
        assert before
        old = story.change.after.previous_version if _ends_takeover(story) else before.version
        line = f"After the merge, `ostinato rollback {story.name}` brings back version {old} in one commit."
    reject = (
        f"Close this without merging to reject the version; the last comment is kept as the reason, and no run "
        f"proposes it again until somebody types `ostinato promote {story.name} --version {story.version}`."
    )
    if _ends_takeover(story):
        return ["### Rolling back", "", line]
    return ["### Rolling back, or rejecting", "", line, "", reject]
