"""The text of a pull request: the evidence, so that a reviewer decides from it without opening anything else.

A view of the verdict, the data card and the two manifests; equal input gives equal bytes.
"""

from dataclasses import dataclass

from components.deploy.manifest import LiveModel
from components.deploy.markdown import code, link, table, text
from components.deploy.proposal import Change
from components.evaluate.wording import percent, short
from components.evidence import CheckResult, Contender, DataCard, Measure, SliceResult, Verdict
from training.quality_spec import METRICS

LONGEST = 60_000
"""Characters; GitHub takes 65,536."""
ROWS = 60
"""That a table shows at most."""
MARKS = {
    "passed": "✓ passed",
    "failed": "**✗ failed**",
    "undecided": "**? undecided**",
    "not applicable": "– not applicable",
}


@dataclass(frozen=True)
class Link:
    shown: str
    url: str


@dataclass(frozen=True)
class Story:
    """What a body is made of."""

    name: str
    version: str
    change: Change
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
        evidence += [_metrics(story.verdict), _checks(story.verdict), _slices(story.verdict), _data(story)]
        evidence += [_judges(story.verdict), _warnings(story)]
    elif story.missing:
        evidence.append([f"> **The evidence could not be read back:** {text(story.missing, 1000)}"])
    change = ["### What changes", "", *change_lines(story.change, story.version)]
    told, rest = _joined(evidence), _joined([change, _links(story), _way_back(story)])
    if len(told) + len(rest) > LONGEST:
        note = "\n\n*Shortened; the whole evidence is in verdict.json and report.html of the run.*\n\n"
        told = told[: LONGEST - len(rest) - len(note)].rpartition("\n")[0] + note
    return (told + rest).rstrip() + "\n"


def _joined(sections: list[list[str]]) -> str:
    return "".join(f"{line}\n" for section in sections if section for line in [*section, ""])


def _decision(story: Story) -> list[str]:
    """What was decided, from what, and what merging does."""
    share = f" as a canary with {story.canary_percent} % of the requests" if story.canary_percent else ""
    before = story.change.before
    instead = "" if before is None else f", in the place of version {before.version}"
    if story.canary_percent and before:
        instead = f", beside version {before.version}"
    first = " Nothing is live yet." if before is None else ""
    does = f"When this is merged, version {story.version} of {code(story.name)} goes live{share}{instead}.{first}"
    verdict = story.verdict
    if not verdict:
        return [does]
    mark = "**✓ Pass**" if verdict.decision == "pass" else "**✗ Reject**"
    return [f"{mark}: {_headline(verdict)}. {_counted(verdict)}.", "", does]


def _counted(verdict: Verdict) -> str:
    """How many checks passed, and what became of the others."""
    passed = sum(check.status == "passed" for check in verdict.checks)
    others = []
    for status in ("failed", "undecided", "not applicable"):
        found = [check for check in verdict.checks if check.status == status]
        demanded = sum(check.required for check in found)
        more = "" if status == "not applicable" else f", {demanded or 'none'} of them required"
        others += [f"{len(found)} {status}{more}"] if found else []
    return f"{passed} of {len(verdict.checks)} checks passed" + (f" ({'; '.join(others)})" if others else "")


def _headline(verdict: Verdict) -> str:
    """The metric of record of the candidate against the champion's, else the baseline's, in words."""
    candidate, champion = verdict.contender("candidate"), verdict.contender("champion")
    told = f"{text(verdict.metric)} {_measure(candidate.metrics.get(verdict.metric) if candidate else None)}"
    rival = champion or verdict.contender("baseline")
    other = rival.metrics.get(verdict.metric) if rival else None
    where = f"on {verdict.rows:,} test rows"
    if rival is None or other is None:
        return f"{told} {where}"
    if rival.role == "baseline":
        return f"{told} against the baseline's {short(other.value)}, {where}; there is no champion"
    found = verdict.differences.get(verdict.metric)
    clear = f": **{_compared(found, verdict.direction)}**" if found else ""
    return f"{told} against the champion's {short(other.value)} (version {text(rival.version)}), {where}{clear}"


def _metrics(verdict: Verdict) -> list[str]:
    """Every metric of every contender; the difference is of pairs on the same rows."""
    names = list(dict.fromkeys([verdict.metric, *(name for one in verdict.contenders for name in one.metrics)]))
    against = verdict.contender("champion") is not None
    head = ["metric", *(_called(one) for one in verdict.contenders), *(["candidate − champion"] if against else [])]
    rows = [[_metric_name(verdict, name), *_cells(verdict, name, against)] for name in names]
    note = (
        f"On the same {verdict.rows:,} test rows, with {percent(verdict.confidence)} intervals; ↓ less is better, "
        f"↑ more. Decided by **{text(verdict.metric)}**."
    )
    if against:
        note += " Better and worse are beyond chance; ≈ is not to be told apart."
    return ["### Metrics", "", *table(head, rows, ROWS, right=len(head) - 1), "", note]


def _metric_name(verdict: Verdict, name: str) -> str:
    arrow = {"lower": " ↓", "higher": " ↑"}.get(_direction(verdict, name), "")
    shown = text(name)
    return (f"**{shown}**" if name == verdict.metric else shown) + arrow


def _direction(verdict: Verdict, name: str) -> str:
    return verdict.direction if name == verdict.metric else METRICS[verdict.task].get(name, "")


def _cells(verdict: Verdict, name: str, against: bool) -> list[str]:
    cells = [_measure(one.metrics.get(name)) for one in verdict.contenders]
    if against:
        found = verdict.differences.get(name)
        cells.append(_difference(found, _direction(verdict, name)) if found else "–")
    return cells


def _difference(found: Measure, direction: str) -> str:
    word = _compared(found, direction)
    shown = _measure(found, signed=True)
    if word not in ("better", "worse"):
        return f"≈ {shown}"
    return f"{'▼' if found.value < 0 else '▲'} {shown} **{word}**"


def _compared(found: Measure, direction: str) -> str:
    """What a difference says: better, worse, or nothing beyond chance."""
    if found.low is None or found.high is None or found.low <= 0 <= found.high or not direction:
        return "not to be told apart"
    return "better" if (found.value < 0) == (direction == "lower") else "worse"


def _called(one: Contender) -> str:
    if one.role == "champion":
        return f"champion (version {text(one.version)})"
    return f"baseline: {text(one.name)}" if one.role == "baseline" else "candidate"


def _measure(found: Measure | None, signed: bool = False) -> str:
    if found is None:
        return "–"

    def shown(value: float) -> str:
        plus = "+" if signed and value > 0 else ""
        return plus + short(value).replace("-", "−")

    if found.low is None or found.high is None:
        return shown(found.value)
    return f"{shown(found.value)} ({shown(found.low)} to {shown(found.high)})"


def _checks(verdict: Verdict) -> list[str]:
    """Every check: what failed, then what passed, then what did not apply."""
    ranks = ["failed", "undecided", "passed", "not applicable"]
    order = sorted(verdict.checks, key=lambda check: ranks.index(check.status))
    rows = [[MARKS[check.status], text(check.name, 100), _why(check)] for check in order]
    return ["### Checks", "", *table(["result", "check", "why"], rows, ROWS)]


def _why(check: CheckResult) -> str:
    return text(check.reason) + ("" if check.required else " *Not required.*")


def _slices(verdict: Verdict) -> list[str]:
    """The slices where the candidate is worse than the champion, the worst first."""
    worse = sorted((one for one in verdict.slices if one.worse), key=lambda one: (-_by(one), one.column, one.value))
    if not verdict.slices:
        return []
    if verdict.contender("champion") is None:
        return ["### Slices", "", f"{len(verdict.slices)} were looked at; there is no champion to be worse than."]
    if not worse:
        return ["### Slices", "", f"Worse in none of the {len(verdict.slices)} slices that were looked at."]
    head = ["slice", "metric", "rows", "candidate", "champion", "changed by"]
    note = f"Worse than the champion in {len(worse)} of {len(verdict.slices)} slices:"
    return ["### Slices", "", note, "", *table(head, [_slice(one) for one in worse], ROWS, right=4)]


def _slice(one: SliceResult) -> list[str]:
    champion = short(one.champion) if one.champion is not None else "–"
    sign = "−" if one.champion is not None and one.candidate < one.champion else "+"
    changed = f"{sign}{percent(_by(one))}" if one.champion else "–"
    where = f"{text(one.column, 80)} = {text(one.value, 80)}"
    return [where, text(one.metric), f"{one.rows:,}", short(one.candidate), champion, changed]


def _by(one: SliceResult) -> float:
    """How far the candidate is from the champion, as a share."""
    return abs(one.candidate - one.champion) / abs(one.champion) if one.champion else 0.0


def _data(story: Story) -> list[str]:
    """What the rows are, which content they have, and what moved in them."""
    verdict, card = story.verdict, story.card
    assert verdict
    drifted = [one.column for one in verdict.drift if one.drifted]
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
        named = ": " + ", ".join(text(one, 80) for one in drifted[:ROWS]) if drifted else ""
        count = f"{len(drifted) or 'None'} of {len(verdict.drift)}"
        lines.append(f"- {count} inputs moved between the training and the test rows{named}")
    return ["### Data", "", *lines]


def _period(card: DataCard) -> str:
    if not (card.train.time_from and card.test.time_to):
        return ""
    return f", from {card.train.time_from:%Y-%m-%d} to {card.test.time_to:%Y-%m-%d}"


def _refused(card: DataCard) -> str:
    reasons = sorted(card.refused_by_reason.items(), key=lambda one: (-one[1], one[0]))[:10]
    return f" ({'; '.join(f'{text(why, 120)}: {count:,}' for why, count in reasons)})" if reasons else ""


def _judges(verdict: Verdict) -> list[str]:
    """What a language model said of the answers, and how far it is to be believed."""
    lines = []
    for one in verdict.judges:
        rate = f", win rate {percent(one.win_rate)}" if one.win_rate is not None else ""
        agreed = f"; agrees with {percent(one.agreement)} of {one.labelled} labelled pairs" if one.agreement else ""
        doubt = f" **Not believed:** {text(one.failure)}" if one.failure else ""
        counts = f"better in {one.wins}, worse in {one.losses}, equal in {one.ties} of {one.questions} questions"
        lines.append(f"- {text(one.model)} against the {one.against}: {counts}{rate}{agreed}.{doubt}")
    return ["### Judge", "", *lines] if lines else []


def _warnings(story: Story) -> list[str]:
    given = [*(story.verdict.warnings if story.verdict else ()), *(story.card.warnings if story.card else ())]
    return ["### Warnings", "", *(f"- {text(one)}" for one in given[:ROWS])] if given else []


def change_lines(change: Change, version: str) -> list[str]:
    """What the manifest names before and after, as a diff; version: the one that the proposal is about."""
    before, after = change.before, change.after
    old = [f"- {line}" for line in _named(before)] if before else []
    tried = after.canary if after.canary and after.canary.version == version else None
    new = [f"+ {line}" for line in _facts(tried.version, tried.storage_uri, tried.digest)] if tried else []
    if tried and before:
        old = [f"  {line}" for line in _named(before)]
    lines = [*old, *(new or [f"+ {line}" for line in _named(after)])]
    return ["```diff", *lines, "```"]


def _named(model: LiveModel) -> list[str]:
    return _facts(model.version, model.storage_uri, model.digest)


def _facts(version: str, uri: str, digest: str) -> list[str]:
    """The values hold no line break and no fence: the first two are checked when a manifest is read."""
    return [f"version: {version}", f"storageUri: {uri}", f"digest: {digest.split()[0].replace('`', '')}"]


def _links(story: Story) -> list[str]:
    return ["### Links", "", *(f"- {link(one.shown, one.url)}" for one in story.links)] if story.links else []


def _way_back(story: Story) -> list[str]:
    ends = f"`ostinato canary {story.name} --abort`" if story.canary_percent else ""
    line = f"After the merge, {ends} takes it away again." if ends else ""
    if not line and story.change.before is None:
        line = "Nothing was live before, so there is nothing to go back to; revert the merge to take the model away."
    if not line:
        before = story.change.before
        assert before
        line = f"After the merge, `ostinato rollback {story.name}` brings back version {before.version} in one commit."
    reject = (
        f"Close this without merging to reject the version; the last comment is kept as the reason, and no run "
        f"proposes it again until somebody types `ostinato promote {story.name} --version {story.version}`."
    )
    return ["### Rolling back, or saying no", "", line, "", reject]
