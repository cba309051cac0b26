"""The model card: the description of a registered version, as Markdown."""

from components.evidence import DataCard, Measure, Verdict
from training.spec import ConversationSpec, ModelSpec

LONGEST = 5000
"""What MLflow's database keeps of a description."""


def model_card(spec: ModelSpec, verdict: Verdict, card: DataCard) -> str:
    """Purpose, owner, data, metrics with intervals, checks and limits; at most LONGEST characters."""
    head = [
        f"# {spec.name}",
        "",
        spec.description.strip(),
        "",
        f"Owner: {spec.owner or 'not named'}. Task: {spec.task}.",
    ]
    sections = [head, _data(card), _metrics(verdict), _checks(verdict), _limits(spec, verdict, card)]
    text = "\n".join(line for section in sections for line in [*section, ""]).rstrip() + "\n"
    if len(text) <= LONGEST:
        return text
    note = "\n\nShortened; the whole evidence is in verdict.json and report.html of the run.\n"
    return text[: LONGEST - len(note)].rsplit("\n", 1)[0] + note


def _data(card: DataCard) -> list[str]:
    period = ""
    if card.train.time_from and card.test.time_to:
        period = f" from {card.train.time_from:%Y-%m-%d} to {card.test.time_to:%Y-%m-%d}"
    lines = [
        "## Data",
        f"{card.train.rows:,} rows to train and {card.test.rows:,} to test{period}, from `{card.source}`.",
        f"Split: {card.split}. Fingerprint `{card.fingerprint}`.",
    ]
    if card.refused:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(card.refused_by_reason.items()))
        lines.append(f"Refused rows: {card.refused:,} ({reasons}).")
    return lines


def _metrics(verdict: Verdict) -> list[str]:
    names = list(dict.fromkeys(name for one in verdict.contenders for name in one.metrics))
    lines = [
        "## Metrics",
        f"On {verdict.rows:,} test rows, {verdict.confidence:.0%} intervals; {verdict.metric} is the one of record.",
        "",
        "| who | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for one in verdict.contenders:
        who = f"{one.role} {one.version}".strip() if one.role != "baseline" else one.name or "baseline"
        lines.append(f"| {who} | " + " | ".join(_measure(one.metrics.get(name)) for name in names) + " |")
    return lines


def _measure(measure: Measure | None) -> str:
    if measure is None:
        return ""
    if measure.low is None or measure.high is None:
        return f"{measure.value:.4g}"
    return f"{measure.value:.4g} [{measure.low:.4g}, {measure.high:.4g}]"


def _checks(verdict: Verdict) -> list[str]:
    rows = [f"| {check.name} | {check.status} | {check.reason.replace('|', '/')} |" for check in verdict.checks]
    return [f"## Checks: {verdict.decision}", "| check | status | why |", "|---|---|---|", *rows]


def _limits(spec: ModelSpec, verdict: Verdict, card: DataCard) -> list[str]:
    inputs = [f"`{column.name}`" for column in card.columns if column.role == "input"]
    worse = [f"{one.column} = {one.value}" for one in verdict.slices if one.worse]
    drifted = [one.column for one in verdict.drift if one.drifted]
    if isinstance(spec.data, ConversationSpec):
        what = "Answers in text; what it says may be wrong, and it does not know that. Judged only on"
        lines = ["## Limits", f"{what} questions like the rows above."]
    else:
        target = spec.data.columns[spec.data.target]
        unit = f" in {target.unit}" if target.unit else ""
        what = f"Predicts `{spec.data.target}`{unit} from {', '.join(inputs) or 'no inputs'}."
        lines = ["## Limits", f"{what} Known to hold only for inputs like the rows above."]
    if worse:
        lines.append(f"Worse than the champion where {', '.join(worse)}.")
    if drifted:
        lines.append(f"Inputs that moved between training and test rows: {', '.join(drifted)}.")
    return [*lines, *(f"Warning: {warning}" for warning in (*card.warnings, *verdict.warnings))]
