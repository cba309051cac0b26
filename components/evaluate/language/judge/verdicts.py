"""From what the judge says about pairs to what it is worth: wins, losses and ties, and whether it can be believed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from components.evaluate.language.judge.asking import Asking
from components.evaluate.language.judge.cache import judge_cache
from components.evaluate.language.judge.labels import Label, read_labels
from components.evaluate.language.judge.prompt import Pair
from components.evaluate.language.judge.reply import Better
from components.evaluate.language.questions import Questions
from delivery.documents.verdict import JudgeReport
from training.spec import JudgeCheck, JudgeSpec, QualitySpec

Opponent = Literal["champion", "baseline"]
MAX_UNANSWERED = 0.1
"""Share of the questions; with more the judge is not believed."""
MAX_SWAYED = 0.75
"""Share of the questions that it was asked; with more it looks at the place of an answer and not at what it says."""
TURNED: dict[Better, Better] = {"first": "second", "second": "first", "tie": "tie"}


def ask_judge(
    quality: QualitySpec, questions: Questions, texts: Mapping[str, tuple[str, ...]], folder: Path
) -> dict[str, JudgeReport]:
    """A report for every opponent that a check names and that there is; all share the judge's budget of calls.

    texts: of each role, (rows,). folder: the model's, for labelled pairs.
    """
    checks = [check for check in quality.checks if isinstance(check, JudgeCheck)]
    reports: dict[str, JudgeReport] = {}
    for against in ("champion", "baseline"):
        asked = [check for check in checks if check.against == against]
        if not asked or against not in texts:
            continue
        assert quality.judge is not None, "the spec refuses a judge's check without a judge"
        # The least that any check demands: each check holds the report against its own bound.
        bounds = [check.min_agreement for check in asked]
        least = None if None in bounds else min(bound for bound in bounds if bound is not None)
        pairs = [
            Pair(questions.conversation(row), mine, theirs, questions.references[row])
            for row, (mine, theirs) in enumerate(zip(texts["candidate"], texts[against], strict=True))
        ]
        spent = sum(report.calls for report in reports.values())
        reports[against] = judge_answers(quality.judge, against, pairs, judge_cache(), folder, least, spent)
    return reports


def judge_answers(
    spec: JudgeSpec,
    against: Opponent,
    questions: Sequence[Pair],
    cache: Path,
    folder: Path,
    min_agreement: float | None,
    spent: int = 0,
) -> JudgeReport:
    """What the judge says about the candidate and another on the same questions, each asked in both orders.

    questions: the candidate's answers come first. Two equal answers are a tie, and nobody is asked. The labelled pairs
    come first; where the judge agrees with too few of them, the questions are not asked. cache: folder of kept answers.
    folder: the model's, for ``spec.labels``.
    min_agreement: with the labelled pairs, None to report it only. spent: calls that this verdict has made already.

    A judge that is down, slow, or of no use is said in ``failure`` and never raised. Raises InputError for labels, a
    key or a URL that are wrong, for a cache that can't be written, and where the package `openai` is missing.
    """
    labels = read_labels(folder, spec.labels) if spec.labels else ()
    asking = Asking(spec, cache, spent)
    agreement = _agreement(labels, asking)
    distrust = ""
    if agreement is not None and min_agreement is not None and agreement < min_agreement:
        distrust = (
            f"it agrees with people on {round(agreement * len(labels))} of {len(labels)} labelled pairs, a share below "
            f"the min_agreement of {min_agreement:g}; take a better judge, or write a clearer rubric"
        )
    asked = [] if distrust else questions
    opinions = _in_both_orders(asked, asking)
    counts = Counter(opinions)
    unanswered = counts[None] + len(questions) - len(asked)
    failure = (
        distrust
        or _cut_short(asking, spec, against, spent, len(questions) - unanswered, len(questions))
        or _worthless(asking, questions, counts)
    )
    return JudgeReport(
        url=spec.url,
        model=spec.model,
        against=against,
        questions=len(questions),
        wins=counts["first"],
        losses=counts["second"],
        ties=counts["tie"] + counts["swayed"],
        swayed=counts["swayed"],
        unanswered=unanswered,
        calls=asking.calls,
        cached=asking.cached,
        agreement=agreement,
        labelled=len(labels),
        labelled_by=", ".join(dict.fromkeys(label.by for label in labels)),
        failure=failure and f"The judge {spec.model} can't be believed: {failure}.",
    )


Opinion = Better | Literal["swayed"] | None


def _in_both_orders(pairs: Sequence[Pair], asking: Asking) -> list[Opinion]:
    """Which answer of each pair is better, whatever the order; None where a reply is missing."""
    differ = [pair for pair in pairs if pair.first != pair.second]
    better = asking.better([ordered for pair in differ for ordered in (pair, pair.turned)])

    def of(pair: Pair) -> Opinion:
        if pair.first == pair.second:
            return "tie"
        straight, turned = better.get(pair), better.get(pair.turned)
        if straight is None or turned is None:
            return None
        return straight if straight == TURNED[turned] else "swayed"

    return [of(pair) for pair in pairs]


def _agreement(labels: Sequence[Label], asking: Asking) -> float | None:
    """Share of the labelled pairs where the judge says what people said. A reply that changes with the order is a tie,
    and a missing one does not agree; None without labels, or where not all could be asked."""
    opinions = _in_both_orders([label.pair for label in labels], asking)
    if not labels or asking.hopeless or asking.left:
        return None
    same = sum(
        ("tie" if opinion == "swayed" else opinion) == label.better
        for label, opinion in zip(labels, opinions, strict=True)
    )
    return same / len(labels)


def _cut_short(asking: Asking, spec: JudgeSpec, against: Opponent, spent: int, judged: int, questions: int) -> str:
    """Why not everything was asked; empty if it was."""
    if asking.left:
        return (
            f"its budget of {spec.calls} calls was used up when {judged} of {questions} questions were judged against "
            f"the {against}; set quality.judge.calls to {spent + asking.calls + asking.left} or more"
        )
    if asking.hopeless:
        return f"{asking.hopeless} (after {asking.calls} calls, {judged} of {questions} questions judged)"
    return ""


def _worthless(asking: Asking, questions: Sequence[Pair], counts: Counter[Opinion]) -> str:
    """Why the answers are not enough to go by; empty if they are."""
    if not questions:
        return "there is no question to judge"
    missing = counts[None]
    if missing > MAX_UNANSWERED * len(questions):
        return (
            f"{missing} of {len(questions)} questions have no usable reply, more than {MAX_UNANSWERED:.0%}; the last "
            f"time {asking.last}"
        )
    asked = sum(question.first != question.second for question in questions) - missing
    if counts["swayed"] > MAX_SWAYED * asked:
        return (
            f"its reply changed with the order of the answers in {counts['swayed']} of {asked} questions, so it goes "
            "by the place of an answer; take a better judge"
        )
    return ""
