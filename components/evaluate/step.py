"""The step for every task: a table's model is judged by what it predicts, a language model by what it says."""

from typing import TYPE_CHECKING, Any

from delivery.documents.verdict import Verdict

if TYPE_CHECKING:
    from components.evaluate.table.contenders import Answers


def evaluate_task(task: str, base_model: str, **given: Any) -> "tuple[Verdict, Answers | None]":
    """The verdict, and for a table's model what curves are drawn from. given: what both steps take, by name."""
    if task == "generation":
        from components.evaluate.language.step import evaluate_text

        return evaluate_text(base_model=base_model, **given), None
    from components.evaluate.table.step import evaluate

    judged = evaluate(task=task, **given)
    return judged.verdict, judged.answers
