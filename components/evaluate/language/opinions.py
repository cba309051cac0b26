"""What a judge thinks of the candidate's answers beside another's."""

from collections.abc import Mapping
from pathlib import Path

from components.evaluate.language.questions import Questions
from delivery.documents.verdict import JudgeReport
from training.spec import JudgeCheck, QualitySpec


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
        from components.evaluate.language.judge import Compared, judge_answers, judge_cache

        assert quality.judge is not None, "the spec refuses a judge's check without a judge"
        # The least that any check demands: each check holds the report against its own bound.
        bounds = [check.min_agreement for check in asked]
        least = None if None in bounds else min(bound for bound in bounds if bound is not None)
        compared = [
            Compared(questions.conversation(row), questions.references[row], mine, theirs)
            for row, (mine, theirs) in enumerate(zip(texts["candidate"], texts[against], strict=True))
        ]
        spent = sum(report.calls for report in reports.values())
        reports[against] = judge_answers(quality.judge, against, compared, judge_cache(), folder, least, spent)
    return reports
