"""A judge's opinion of the candidate's answers beside another's."""

from components.evaluate.checks.demand import Demand
from components.evaluate.shared.scored import Measured
from delivery.documents.numbers import percent, short
from delivery.documents.verdict import CheckResult, JudgeReport
from training.spec import JudgeCheck


def evaluate_judge(check: JudgeCheck, measured: Measured) -> CheckResult:
    """Wins and half of the ties of all questions. Questions without a usable answer could have gone either way: where
    that decides, and where the judge can't be believed, the check is undecided."""
    report = measured.scored.judges.get(check.against)
    demand = Demand(check, f"judge against {check.against}", check.min_win_rate, ">=", "win rate")
    if report is None:
        assert check.against == "champion", "the spec refuses a judge against a baseline that is not there"
        return demand.not_applicable()
    doubt = _why_not_believed(check, report)
    if doubt:
        return demand.result(report.win_rate, f"Nobody could decide: {doubt}.", "undecided")
    points = report.wins + report.ties / 2
    least, most = points / report.questions, (points + report.unanswered) / report.questions
    status = "passed" if least >= check.min_win_rate else "failed" if most < check.min_win_rate else "undecided"
    reason = (
        f"{report.model} preferred the candidate {report.wins} times and the {check.against} {report.losses} times in "
        f"{report.questions} questions, {report.ties} tied: a win rate of {short(least)}"
        f"{f' to {short(most)}' if report.unanswered else ''}; at least {short(check.min_win_rate)} is demanded."
    )
    if status == "undecided":
        reason += f" The {report.unanswered} without a usable answer would decide."
    return demand.result(least, reason, status)


def _why_not_believed(check: JudgeCheck, report: JudgeReport) -> str:
    if report.failure:
        return report.failure.rstrip(".")
    if report.questions == 0 or report.win_rate is None:
        return f"{report.model} gave no usable answer to {report.questions} questions"
    if check.min_agreement is None:
        return ""
    if report.agreement is None:
        return f"{report.model} was tried on no labelled pair; {percent(check.min_agreement)} agreement is demanded"
    if report.agreement < check.min_agreement:
        return (
            f"{report.model} agrees with {percent(report.agreement)} of the {report.labelled} pairs that "
            f"{report.labelled_by or 'people'} labelled; at least {percent(check.min_agreement)} is demanded"
        )
    return ""
