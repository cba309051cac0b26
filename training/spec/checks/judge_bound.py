"""The check of what a language model as judge thinks of the answers."""

from typing import ClassVar, Literal

from training.spec.checks.check import QualityCheck, SpecContext
from training.spec.section import Share
from training.spec.tasks import Answers


class JudgeCheck(QualityCheck):
    """A language model compares the candidate's answers with another's, question by question, in both orders.

    A question that it answers otherwise in the other order is a tie. A judge that is down, slow or talks nonsense
    leaves the check undecided, and a required check that is undecided refuses the candidate.
    """

    answers: ClassVar[tuple[Answers, ...]] = ("texts",)
    kind: Literal["judge"]
    against: Literal["champion", "baseline"] = "champion"
    min_win_rate: Share = 0.5
    """Wins and half of the ties, of all questions; 0.5 is as good as the other."""
    min_agreement: Share | None = None
    """With the labelled pairs of `judge.labels`; a judge below it is not believed, and the check undecided."""
    required: bool = True

    def require_fit(self, field: str, context: SpecContext) -> None:
        super().require_fit(field, context)
        opening = f"{field} is of kind judge"
        if context.judge is None:
            raise ValueError(f"{opening} and needs quality.judge: url, model, rubric")
        if self.against == "baseline" and not context.has_baseline:
            raise ValueError(f"{opening} against the baseline, but quality.baseline is missing")
        if self.min_agreement is not None and context.judge.labels is None:
            raise ValueError(
                f"{opening} with min_agreement {self.min_agreement:g}, which needs quality.judge.labels: pairs that "
                "people have compared"
            )
        if any(isinstance(check, JudgeCheck) and check.against == self.against for check in context.earlier):
            raise ValueError(f"{opening} against the {self.against}, as another one is; name it once")
