"""What the UIs show of evaluate: metrics, curves, pages and the verdict in words, for every task."""

import re
from pathlib import Path
from typing import Any

import pytest
from harness.evaluated import Case
from harness.evidence import forecaster_verdict
from harness.verdicts import contender, judge_report, verdict
from inspection.outputs import show
from inspection.ui_readers import metadata_of, read_confusion, read_html, read_markdown, read_metrics, read_roc
from kfp import dsl
from markdown_it import MarkdownIt
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB

from delivery.documents.verdict import Verdict

BALANCED = {"kind": "absolute", "metric": "balanced_accuracy", "min": 0.5}
HOSTILE = "<script>alert(1)</script> | `x` ``` [a](javascript:alert(1)) ![p](http://evil.example/p.png) <img src=x>"


def rendered(markdown: str) -> str:
    """With raw HTML let through, so that what is not escaped shows; Kubeflow's viewer drops it."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)


def test_a_regression_shows_candidate_and_champion_and_both_pages(diabetes: Case, tmp_path: Path) -> None:
    models = diabetes.save("c", Ridge()), diabetes.save("old", DummyRegressor())
    judged = diabetes.run(*models, metric="mae", checks=[{"kind": "absolute", "metric": "mae", "max": 60}])
    shown = show(tmp_path / "out", judged.verdict, judged.predictions)
    values = read_metrics(shown.metrics)
    for role in ("candidate", "champion"):
        contender = judged.verdict.contender(role)
        assert values[f"{role}_mae"] == contender.metrics["mae"].value
    assert read_roc(shown.curves) == [] and "confusionMatrix" not in shown.curves.metadata
    facts = metadata_of(shown.verdict)
    assert facts["decision"] == judged.verdict.decision and facts["digest"] == judged.verdict.digest()
    for name in ("report.html", "evidently.html"):
        assert "mae" in read_html(dsl.HTML(), diabetes.root / name).lower()
    page = rendered(read_markdown(shown.summary, Path(shown.summary.path)))
    assert page.count("<table>") == 2 and "champion (version 7)" in page


def test_two_classes_show_confusion_and_a_curve_of_finite_numbers(cancer: Case, tmp_path: Path) -> None:
    judged = cancer.run(cancer.save("c", GaussianNB()), metric="balanced_accuracy", checks=[BALANCED])
    shown = show(tmp_path / "out", judged.verdict, judged.predictions)
    labels, rows = read_confusion(shown.curves)
    assert labels == ["benign", "malignant"] and sum(map(sum, rows)) == judged.verdict.rows
    actual = (cancer.test["target"] == "malignant").sum()
    assert sum(rows[1]) == actual, "rows are what is true, columns what was said"
    thresholds, false, hits = zip(*read_roc(shown.curves), strict=True)
    assert list(thresholds) == sorted(thresholds, reverse=True)
    assert list(false) == sorted(false) and list(hits) == sorted(hits) and (false[-1], hits[-1]) == (1, 1)


def test_three_classes_show_confusion_and_no_curve(wine: Case, tmp_path: Path) -> None:
    judged = wine.run(wine.save("c", GaussianNB()), metric="balanced_accuracy", checks=[BALANCED])
    shown = show(tmp_path / "out", judged.verdict, judged.predictions)
    labels, rows = read_confusion(shown.curves)
    assert labels == ["0", "1", "2"] and sum(map(sum, rows)) == judged.verdict.rows
    assert read_roc(shown.curves) == []


def generation(**fields: Any) -> Verdict:
    found = tuple(
        contender(role, HOSTILE, HOSTILE, token_f1=value) for role, value in (("candidate", 0.7), ("champion", 0.6))
    )
    told = {"task": "generation", "metric": "token_f1", "direction": "higher", "contenders": found}
    return verdict(**told, judges=(judge_report(model=HOSTILE, failure=HOSTILE),), **fields)


def test_a_language_model_shows_its_metrics_and_the_judge(tmp_path: Path) -> None:
    shown = show(tmp_path, generation())
    values = read_metrics(shown.metrics)
    assert values == {"candidate_token_f1": 0.7, "champion_token_f1": 0.6, "judge_champion_win_rate": 0.6}
    assert read_roc(shown.curves) == [] and "confusionMatrix" not in metadata_of(shown.curves)
    summary = read_markdown(shown.summary, tmp_path / "summary.md")
    assert "better in 5, worse in 3, equal in 2 of 10 questions" in summary


def test_text_of_data_and_models_is_inert_in_the_verdict_in_words(tmp_path: Path) -> None:
    plain = forecaster_verdict()
    checks = tuple(one.model_copy(update={"name": HOSTILE, "reason": HOSTILE}) for one in plain.checks)
    slices = tuple(one.model_copy(update={"column": HOSTILE, "value": HOSTILE}) for one in plain.slices)
    hostile = generation(model=HOSTILE, checks=checks, slices=slices, warnings=(HOSTILE,))
    text = read_markdown(show(tmp_path, hostile).summary, tmp_path / "summary.md")
    page = rendered(text)
    allowed = {"h2", "h3", "p", "strong", "em", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert set(re.findall(r"<(\w+)", page)) <= allowed
    rows = [row.count("<td") for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)]
    assert set(rows) == {0, 3, 4, 6}, "a bar in a name makes no column"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_left_out_and_said(value: float, tmp_path: Path) -> None:
    shown = show(tmp_path, verdict(contenders=(contender(mae=1.0, r2=value),)))
    assert read_metrics(shown.metrics) == {"candidate_mae": 1.0}
    assert re.search(r"\| r2 ↑ \| (not a number|infinite) \|", read_markdown(shown.summary, tmp_path / "summary.md"))
