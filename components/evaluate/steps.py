"""The step for every task: a table's model is judged by what it predicts, a language model by what it answers."""

from typing import TYPE_CHECKING

from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
from delivery.documents.verdict import Verdict

if TYPE_CHECKING:
    from components.evaluate.table.contenders import Predictions


def evaluate_task(inputs: EvaluateInputs, outputs: EvaluateOutputs) -> "tuple[Verdict, Predictions | None]":
    """The verdict, and for a table's model what curves are drawn from."""
    if inputs.task == "generation":
        from components.evaluate.language.steps import evaluate_answers

        return evaluate_answers(inputs, outputs), None
    from components.evaluate.table.steps import evaluate_predictions

    return evaluate_predictions(inputs, outputs)
