"""The proof: equal answers are told from others, and what can't be served is evidence, not a crash."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delivery.documents.sample import Sample, difference, make_sample
from delivery.models.folder import load_model, model_digest
from delivery.serving.proof.prove import prove
from training.errors import InputError
from training.spec import ServingSpec


def sample_of(folder: Path, name: str, rows: pd.DataFrame, change: float = 1.0) -> Sample:
    predictor = load_model(folder)
    expected = predictor.predict(rows)
    task = "regression" if predictor.classes is None else "classification"
    if change != 1:
        expected[3] *= change
    return make_sample(name, task, model_digest(folder), rows, expected, 1e-9)


def test_a_model_that_is_served_as_it_was_judged_is_proven(classifier: Path, test_rows: pd.DataFrame) -> None:
    proof = prove(classifier, sample_of(classifier, "mood", test_rows), ServingSpec(), [1, 4])
    assert (proof.worst_difference, proof.rows, proof.failure) == (0, 2000, "")
    assert [one.concurrency for one in proof.latency] == [1, 4]
    assert all(0 < one.p50_ms <= one.p99_ms and 0 < one.calls <= 200 for one in proof.latency)
    assert proof.cold_start_s and proof.cold_start_s > 0
    assert "kserve" in proof.ran and "scikit-learn" in proof.ran
    assert proof.size_bytes == sum(file.stat().st_size for file in classifier.rglob("*") if file.is_file())


def test_a_model_that_answers_otherwise_than_it_was_judged_is_not(regressor: Path, test_rows: pd.DataFrame) -> None:
    proof = prove(regressor, sample_of(regressor, "amount", test_rows, 1 + 1e-6), ServingSpec(), [1])
    assert proof.worst_difference == pytest.approx(1e-6, rel=1e-3) and not proof.failure


def test_an_answer_that_can_not_be_compared_is_a_failure_that_json_can_say(
    regressor: Path, test_rows: pd.DataFrame
) -> None:
    proof = prove(regressor, sample_of(regressor, "amount", test_rows, np.inf), ServingSpec(), [1])
    assert proof.worst_difference is None and "no finite number" in proof.failure
    json.dumps(proof.model_dump(mode="json"), allow_nan=False)


def test_a_model_that_can_not_be_served_is_told_with_the_reason(
    regressor: Path, tmp_path: Path, test_rows: pd.DataFrame
) -> None:
    sample = sample_of(regressor, "amount", test_rows)
    folder = shutil.copytree(regressor, tmp_path / "model")
    (folder / "model.skops").unlink()
    proof = prove(folder, sample, ServingSpec(), [1])
    assert "model.skops is missing" in proof.failure
    assert (proof.worst_difference, proof.cold_start_s, proof.latency) == (None, None, ())


def test_a_sample_reads_back_as_the_rows_and_answers_that_it_was_made_of(
    classifier: Path, test_rows: pd.DataFrame, tmp_path: Path
) -> None:
    made = sample_of(classifier, "mood", test_rows)
    made.write(tmp_path / "sample.json")
    read = Sample.read(tmp_path / "sample.json")
    assert read.digest() == made.digest()
    pd.testing.assert_frame_equal(read.rows[list(test_rows)], test_rows, check_dtype=False)
    assert read.answers.tolist() == load_model(classifier).predict(test_rows).tolist()
    with pytest.raises(InputError, match="is no Sample of this version"):
        (tmp_path / "sample.json").write_text("{}")
        Sample.read(tmp_path / "sample.json")


def test_numbers_differ_relative_to_their_size_and_rounding_next_to_zero_is_none() -> None:
    expected = np.array([1e6, 2.0, 0.0])
    assert difference(expected.copy(), expected, "regression") == 0
    assert difference(expected + np.array([1e-2, 0, 0]), expected, "regression") == pytest.approx(1e-8)
    assert difference(expected + np.array([0, 2e-8, 0]), expected, "regression") == pytest.approx(2e-12)
    assert difference(expected + np.array([0, 0, 1e-6]), expected, "regression") == pytest.approx(1e-10)
    assert difference(expected * np.nan, expected, "regression") == np.inf
    assert difference(expected[:2], expected, "regression") == np.inf
    assert difference(np.array([1e-9]), np.zeros(1), "regression") == np.inf
    assert difference(np.zeros(1), np.zeros(1), "regression") == 0


def test_one_other_class_is_a_difference() -> None:
    labels = np.array(["a", "b", "b", "c"], dtype=object)
    assert difference(labels.copy(), labels, "classification") == 0
    assert difference(np.array(["a", "b", "c", "c"], dtype=object), labels, "classification") == 0.25
    assert difference(np.array(["1"], dtype=object), np.array([1]), "classification") == 1
