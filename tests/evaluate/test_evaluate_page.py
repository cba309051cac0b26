"""The pages and KFP's artifacts say what the verdict says."""

import json
import re
from pathlib import Path

import pytest
from harness.html_pages import Balanced
from kfp import dsl
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.evaluate.component import evaluate
from delivery.documents.verdict import Verdict
from training.spec import QualitySpec, ServingSpec
from training.spec.argument import texts_digest

CHECKS = [
    {"kind": "absolute", "metric": "mae", "max": 60},
    {"kind": "champion", "metric": "mae", "margin": 0.0},
    {"kind": "slice", "column": "group", "metric": "mae", "champion_margin": 0.1},
]


def page(case) -> Balanced:
    return Balanced((case.root / "report.html").read_text())


def test_the_page_of_a_pass_shows_every_check_contender_and_digest(diabetes):
    good, bad = diabetes.save("good", Ridge(alpha=0.1)), diabetes.save("bad", DummyRegressor())
    verdict = diabetes.run(good, bad, metric="mae", baseline={"kind": "mean"}, checks=CHECKS).verdict
    found = page(diabetes)
    assert "The candidate may replace version 7." in found.text and "PASS" in found.text
    for check in verdict.checks:
        assert check.name in found.text and check.reason in found.text
    for one in verdict.contenders:
        assert one.digest in found.text
    assert "mean of training rows" in found.text and verdict.data_fingerprint in found.text


def test_the_page_of_a_refusal_names_the_failed_checks_and_the_slices_that_got_worse(diabetes):
    good, bad = diabetes.save("good", Ridge(alpha=0.1)), diabetes.save("bad", DummyRegressor())
    diabetes.run(bad, good, metric="mae", checks=CHECKS)
    text = page(diabetes).text
    assert "REJECT" in text and "3 required checks failed" in text
    assert "group = high" in text and "slices got worse than the champion" in text


def test_the_page_of_a_first_version_says_that_there_is_no_champion(diabetes):
    diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=CHECKS)
    text = page(diabetes).text
    assert "this is the first version" in text and "Change against the champion" not in text


def test_the_page_needs_nothing_from_outside(diabetes):
    diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=CHECKS)
    text = (diabetes.root / "report.html").read_text()
    assert page(diabetes).addresses == ["evidently.html"]
    assert not re.search(r"https?://|@import|url\(|<script", text)


def test_whatever_comes_from_data_is_escaped(diabetes):
    diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=CHECKS)
    text = (diabetes.root / "report.html").read_text()
    assert "x &lt;b&gt;above&lt;/b&gt; max" in text and "<b>above</b>" not in text


@pytest.mark.parametrize("classes", [2, 3])
def test_the_page_of_a_classifier_has_its_confusion_and_curves(cancer, wine, classes):
    case = cancer if classes == 2 else wine
    model = make_pipeline(StandardScaler(), LogisticRegression())
    check = {"kind": "champion", "metric": "f1", "margin": 0.5}
    case.run(case.save("c", model), case.save("n", GaussianNB()), metric="f1", checks=[check])
    text = page(case).text
    assert "Confusion of the candidate" in text
    assert ("ROC curve" in text) == ("Calibration" in text) == (classes == 2)


def test_evidentlys_page_has_the_preset_and_the_drift_of_every_input(cancer):
    check = {"kind": "champion", "metric": "f1", "margin": 0.5}
    cancer.run(cancer.save("c", GaussianNB()), metric="f1", checks=[check])
    text = (cancer.root / "evidently.html").read_text()
    assert "Classification Model Performance" in text and "Drift: test rows" in text
    assert all(f"Drift in column '{name}'" in text for name in (*cancer.inputs, "group"))


def test_the_page_shows_what_was_served_and_how_long_it_took(diabetes):
    checks = [{"kind": "absolute", "metric": "mae", "max": 60}, {"kind": "latency", "max_p99_ms": 60_000}]
    verdict = diabetes.run(diabetes.save("c", Ridge()), metric="mae", checks=checks).verdict
    text = (diabetes.root / "report.html").read_text()
    section = text[text.index("<h2>Serving</h2>") :]
    assert f"{verdict.served.rows} test rows" in section and "ostinato-mlflow" in section
    assert "1 at a time" in section and "cold start" in section.lower()


def test_the_component_hands_kfp_the_decision_metrics_curves_and_files(cancer):
    model, champion = (
        cancer.save("c", make_pipeline(StandardScaler(), LogisticRegression())),
        cancer.save("n", GaussianNB()),
    )
    quality = {"metric": "f1", "checks": [{"kind": "champion", "metric": "f1", "margin": 0.5}]}
    out = cancer.root / "out"
    out.mkdir()
    kinds = {"verdict": dsl.Artifact, "report": dsl.HTML, "evidently": dsl.HTML, "metrics": dsl.Metrics}
    kinds |= {"curves": dsl.ClassificationMetrics, "sample": dsl.Artifact, "summary": dsl.Markdown}
    outputs = {name: kind(name=name, uri=str(out / name)) for name, kind in kinds.items()}
    texts = [
        cancer.contract.canonical_json(),
        QualitySpec.model_validate(quality).canonical_json(),
        ServingSpec().proven_json(),
        "",
    ]
    (decision,) = evaluate.python_func(
        model="a-model",
        task="classification",
        data_spec=texts[0],
        quality_spec=texts[1],
        serving_spec=texts[2],
        base_model=texts[3],
        texts=texts_digest(texts),
        champion_version="7",
        spec_digest="sha256:spec",
        code="sha256:code",
        data=dsl.Dataset(uri=str(cancer.root / "data")),
        candidate=dsl.Model(uri=str(model)),
        champion=dsl.Model(uri=str(champion)),
        **outputs,
    )
    verdict = Verdict.read(out / "verdict")
    assert decision == verdict.decision == outputs["verdict"].metadata["decision"] == "pass"
    metrics = outputs["metrics"].metadata
    for one in verdict.contenders:
        assert metrics[f"{one.role}_f1"] == one.metrics["f1"].value
    curves = outputs["curves"].metadata
    assert len(curves["confidenceMetrics"]) > 1
    assert [spec["displayName"] for spec in curves["confusionMatrix"]["annotationSpecs"]] == ["benign", "malignant"]
    assert sum(sum(row["row"]) for row in curves["confusionMatrix"]["rows"]) == verdict.rows
    json.loads((out / "curves").read_text(), parse_constant=pytest.fail)
    assert {path.name for path in Path(out).iterdir()} == {*outputs}
