"""The model card: the description of a registered version, as Markdown."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from delivery.documents.data_card import DataCard
from delivery.documents.verdict import JudgeReport, Measure, Verdict
from training.spec import ConversationSpec, ModelSpec

LONGEST = 5000
"""What MLflow's database keeps of a description."""


def model_card(
    spec: ModelSpec, verdict: Verdict, card: DataCard, facts: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Purpose, owner, data, metrics with intervals, checks and limits; at most LONGEST characters.

    facts: what training wrote about a language model.
    """
    head = [
        f"# {spec.name}",
        "",
        spec.description.strip(),
        "",
        f"Owner: {spec.owner or 'not named'}. Task: {spec.task}.",
    ]
    judges = [_judge(report) for report in verdict.judges]
    origin = [_origin(spec, facts)] if spec.training.base_model else []
    sections = [head, *origin, _data(card), _metrics(verdict), *judges, _checks(verdict), _limits(spec, verdict, card)]
    text = "\n".join(line for section in sections for line in [*section, ""]).rstrip() + "\n"
    if len(text) <= LONGEST:
        return text
    note = "\n\nShortened; the whole evidence is in verdict.json and report.html of the run.\n"
    return text[: LONGEST - len(note)].rsplit("\n", 1)[0] + note


def _origin(spec: ModelSpec, facts: Mapping[str, Any]) -> list[str]:
    """What a language model starts from, and what was done to it."""
    base = spec.training.base_model
    assert base
    method = {"prompt": "Taken as it is", "lora": f"LoRA ({spec.training.adapter})", "full": "All weights trained"}.get(
        str(facts.get("method", "")), "Trained"
    )
    revision = f" at revision `{base.revision}`" if base.revision else ""
    sha256 = f", sha256 `{facts['base_sha256']}`" if facts.get("base_sha256") else ""
    prompt = f"System prompt: `{spec.training.system_prompt}`." if spec.training.system_prompt else "No system prompt."
    return ["## Model", f"Base model: `{base.source}`{revision}{sha256}. {method}. {prompt}"]


def _judge(report: JudgeReport) -> list[str]:
    """What a language model said of the answers, and how far it is to be believed."""
    lines = [f"## Judge: {report.model} against the {report.against}"]
    if report.win_rate is not None:
        lines.append(
            f"Better in {report.wins}, worse in {report.losses}, equal in {report.ties} of {report.questions} "
            f"questions (win rate {report.win_rate:.0%}; {report.swayed} swayed by the order, "
            f"{report.unanswered} unanswered)."
        )
    if report.agreement is not None:
        lines.append(f"Agrees with {report.agreement:.0%} of {report.labelled} pairs labelled by {report.labelled_by}.")
    return [*lines, *([f"Not believed: {report.failure}"] if report.failure else [])]


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
    names = list(dict.fromkeys(name for contender in verdict.contenders for name in contender.metrics))
    lines = [
        "## Metrics",
        f"On {verdict.rows:,} test rows, {verdict.confidence:.0%} intervals; {verdict.metric} is the one of record.",
        "",
        "| who | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for contender in verdict.contenders:
        who = (
            f"{contender.role} {contender.version}".strip()
            if contender.role != "baseline"
            else contender.name or "baseline"
        )
        lines.append(f"| {who} | " + " | ".join(_measure(contender.metrics.get(name)) for name in names) + " |")
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
    worse = [f"{part.column} = {part.value}" for part in verdict.slices if part.worse]
    drifted = [column.column for column in verdict.drift if column.drifted]
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
