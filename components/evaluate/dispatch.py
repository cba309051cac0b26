"""The step for every task: a table's model is judged by what it predicts, a language model by what it says."""

from typing import TYPE_CHECKING, Any

from components.evidence import Verdict

if TYPE_CHECKING:
    from components.evaluate.steps import Answers


def evaluate_task(task: str, base_model: str, **given: Any) -> "tuple[Verdict, Answers | None]":
    """The verdict, and for a table's model what curves are drawn from. given: what both steps take, by name."""
    if task == "generation":
        from components.evaluate.text.steps import evaluate_text

        return evaluate_text(base_model=base_model, **given), None
    from components.evaluate.steps import evaluate

    judged = evaluate(task=task, **given)
    return judged.verdict, judged.answers
