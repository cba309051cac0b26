"""The step for every task, from top to bottom: assess, serve, check, decide, show."""

from typing import TYPE_CHECKING

from components.evaluate.checks.decide import decide_verdict
from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
from components.evaluate.shared.page import PageInputs
from components.evaluate.shared.scored import paired_changes
from delivery.documents.verdict import Verdict
from delivery.serving.proof.prove import prove
from training.spec import TASKS, LatencyCheck, QualitySpec

if TYPE_CHECKING:
    from components.evaluate.table.contenders import Predictions


def evaluate_task(inputs: EvaluateInputs, outputs: EvaluateOutputs) -> "tuple[Verdict, Predictions | None]":
    """Judge the candidate against the champion and the baseline on the same test rows, and prove that it can be served;
    write verdict, reports and the sample of the proof. A table's model is judged by what it predicts, a language model
    by what it answers.

    Returns the verdict, and for a table's model what curves are drawn from. Raises InputError for a spec, rows or
    questions that can't be judged, OstinatoError for a model that can't be.
    """
    if TASKS[inputs.task].is_language_model:
        from components.evaluate.language.steps import assess_answers as assess
    else:
        from components.evaluate.table.steps import assess_predictions as assess

    assessed = assess(inputs)
    assessed.sample.write(outputs.sample)
    served = prove(inputs.candidate, assessed.sample, inputs.serving, concurrencies(inputs.quality))
    verdict = decide_verdict(inputs, assessed, served)
    verdict.write(outputs.verdict)
    changes, unit = paired_changes(assessed.scored), assessed.scored.unit
    assessed.write_pages(outputs, PageInputs(verdict, inputs.card, changes, unit, outputs.evidently_link))
    return verdict, assessed.predictions


def concurrencies(quality: QualitySpec) -> list[int]:
    """At which latency is measured: where a check asks, else one request at a time."""
    return sorted({check.concurrency for check in quality.checks if isinstance(check, LatencyCheck)} or {1})
