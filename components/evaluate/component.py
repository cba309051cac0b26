"""The KFP face of the evaluate step."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="ostinato", install_kfp_package=False)
def evaluate(
    model: str,
    task: str,
    data_spec: str,
    quality_spec: str,
    serving_spec: str,
    base_model: str,
    champion_version: str,
    spec_digest: str,
    code: str,
    texts: str,
    data: dsl.Input[dsl.Dataset],
    candidate: dsl.Input[dsl.Model],
    champion: dsl.Input[dsl.Model],
    verdict: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    evidently: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.ClassificationMetrics],
    sample: dsl.Output[dsl.Artifact],
    summary: dsl.Output[dsl.Markdown],
) -> NamedTuple("Outputs", [("decision", str)]):  # pyright: ignore[reportInvalidTypeForm]
    """Judge candidate, champion and baseline on identical rows, and prove that the candidate can be served; the
    output is "pass" or "reject"."""
    from pathlib import Path

    from components.evaluate.publish import publish
    from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
    from components.evaluate.steps import evaluate_task
    from training.spec.argument import unpack

    data_spec, quality_spec, serving_spec, base_model = unpack(
        [data_spec, quality_spec, serving_spec, base_model], texts
    )
    inputs = EvaluateInputs(
        model=model,
        task=task,
        data_spec=data_spec,
        quality_spec=quality_spec,
        serving_spec=serving_spec,
        base_model=base_model,
        champion_version=champion_version,
        spec_digest=spec_digest,
        code=code,
        data=Path(data.path),
        candidate=Path(candidate.path),
        champion=Path(champion.path),
    )
    outputs = EvaluateOutputs(Path(verdict.path), Path(report.path), Path(evidently.path), Path(sample.path))
    document, predictions = evaluate_task(inputs, outputs)
    return (publish(document, predictions, verdict, metrics, curves, summary),)
