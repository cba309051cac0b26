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
    data: dsl.Input[dsl.Dataset],
    candidate: dsl.Input[dsl.Model],
    champion: dsl.Input[dsl.Model],
    verdict: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    evidently: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.ClassificationMetrics],
    sample: dsl.Output[dsl.Artifact],
) -> NamedTuple("Outputs", [("decision", str)]):  # pyright: ignore[reportInvalidTypeForm]
    """Judge candidate, champion and baseline on identical rows, and prove that the candidate can be served; the
    output is "pass" or "reject"."""
    from pathlib import Path

    from components.evaluate.publish import publish
    from components.evaluate.steps import evaluate
    from components.evaluate.text.steps import evaluate_text

    given = {"model": model, "data_spec": data_spec, "quality_spec": quality_spec, "serving_spec": serving_spec}
    given |= {"champion_version": champion_version, "spec_digest": spec_digest, "code": code}
    paths = {"data": Path(data.path), "candidate": Path(candidate.path), "champion": Path(champion.path)}
    paths |= {"verdict_file": Path(verdict.path), "report_file": Path(report.path)}
    paths |= {"evidently_file": Path(evidently.path), "sample_file": Path(sample.path)}
    if task == "generation":
        found, answers = evaluate_text(base_model=base_model, **given, **paths), None
    else:
        judged = evaluate(task=task, **given, **paths)
        found, answers = judged.verdict, judged.answers
    return (publish(found, answers, verdict, metrics, curves),)
