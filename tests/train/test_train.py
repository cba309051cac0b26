"""What the other steps rely on in a trained model folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from components.train.steps import check_hyperparameters, check_target
from delivery.models.folder import load_model, model_digest, save_model
from training.errors import InputError, OstinatoError
from training.folder import load_module, running_code_of
from training.spec import TrainingSpec

TREES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)

SAVE_ONE = """
import sys
from pathlib import Path
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from delivery.models.folder import model_digest, save_model
rows, target = load_breast_cancer(return_X_y=True, as_frame=True)
estimator = HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(rows, target)
save_model(estimator, Path(sys.argv[1]), rows, sys.argv[2:], {"rows": len(rows)})
print(model_digest(Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def diabetes() -> tuple[pd.DataFrame, pd.Series]:
    return load_diabetes(return_X_y=True, as_frame=True)


@pytest.fixture
def saved(tmp_path: Path, diabetes: tuple[pd.DataFrame, pd.Series]) -> Path:
    rows, target = diabetes
    save_model(LinearRegression().fit(rows, target), tmp_path / "model", rows, (), {"rows": len(rows)})
    return tmp_path / "model"


def test_the_same_training_in_two_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SAVE_ONE, str(tmp_path / seed), *TREES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip().splitlines()[-1])
    assert len(digests) == 1


def test_a_changed_byte_in_any_file_changes_the_digest(saved: Path) -> None:
    before = model_digest(saved)
    for path in sorted(saved.iterdir()):
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        assert model_digest(saved) != before, path.name
        path.write_bytes(content)
    assert model_digest(saved) == before


def test_a_loaded_model_predicts_exactly_as_the_fitted_one(tmp_path: Path) -> None:
    rows, target = load_breast_cancer(return_X_y=True, as_frame=True)
    fitted = HistGradientBoostingClassifier(max_iter=10, random_state=0).fit(rows, target)
    save_model(fitted, tmp_path / "model", rows, TREES, {})
    loaded = load_model(tmp_path / "model")
    shuffled = rows[list(reversed(rows.columns))].assign(another=1)
    assert loaded.inputs == list(rows.columns)
    np.testing.assert_array_equal(loaded.predict(shuffled), fitted.predict(rows))
    np.testing.assert_array_equal(loaded.predict_proba(shuffled), fitted.predict_proba(rows))
    assert load_model(tmp_path / "model").classes is not None


def test_mlflow_loads_the_folder_as_it_is(saved: Path, diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    import mlflow.pyfunc

    rows, _ = diabetes
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(str(saved)).predict(rows), load_model(saved).predict(rows))


def test_a_type_that_is_not_trusted_is_refused_with_the_lines_to_add(tmp_path: Path) -> None:
    rows, target = load_breast_cancer(return_X_y=True, as_frame=True)
    fitted = HistGradientBoostingClassifier(max_iter=2).fit(rows, target)
    with pytest.raises(InputError, match=r"trusted_types:\n +- sklearn\.ensemble\..*TreePredictor"):
        save_model(fitted, tmp_path / "model", rows, (), {})
    assert not (tmp_path / "model").exists()


def test_an_estimator_with_a_function_inside_is_refused(
    tmp_path: Path, diabetes: tuple[pd.DataFrame, pd.Series]
) -> None:
    rows, target = diabetes
    fitted = make_pipeline(FunctionTransformer(lambda values: values), LinearRegression()).fit(rows, target)
    with pytest.raises(InputError):
        save_model(fitted, tmp_path / "model", rows, (), {})


def damage_missing(folder: Path) -> None:
    (folder / "model.skops").unlink()


def damage_truncated(folder: Path) -> None:
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:100])


def damage_pickle(folder: Path) -> None:
    path = folder / "MLmodel"
    described = yaml.safe_load(path.read_text())
    described["flavors"]["sklearn"] |= {"serialization_format": "cloudpickle", "pickled_model": "model.pkl"}
    path.write_text(yaml.safe_dump(described))


def damage_other_type(folder: Path) -> None:
    path = folder / "model.skops"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["schema.json"] = members["schema.json"].replace(b"sklearn.linear_model._base", b"subprocess")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def damage_no_signature(folder: Path) -> None:
    path = folder / "MLmodel"
    described = yaml.safe_load(path.read_text())
    del described["signature"]
    path.write_text(yaml.safe_dump(described))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_missing, "missing"),
        (damage_truncated, "damaged"),
        (damage_pickle, "may run code"),
        (damage_other_type, "does not load"),
        (damage_no_signature, "signature"),
    ],
)
def test_a_damaged_folder_is_refused_with_its_reason_and_runs_nothing(saved: Path, damage, said: str) -> None:
    damage(saved)
    with pytest.raises(OstinatoError, match=said):
        load_model(saved)


def test_a_missing_input_column_is_named(saved: Path, diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    with pytest.raises(OstinatoError, match="bmi"):
        load_model(saved).predict(diabetes[0].drop(columns="bmi"))


MODEL = """
from pydantic import BaseModel, ConfigDict, Field

class Hyperparameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    depth: int = Field(3, ge=1)
    country: str = "SE"

def train(rows, target, hyperparameters, seed):
    return rows / 0 if hyperparameters.depth == 7 else 1 // 0
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dept": 3}, "training.hyperparameters.dept: .* Did you mean 'depth'"),
        ({"depth": 0}, r"training.hyperparameters.depth: .*greater than or equal to 1 \(got 0\)"),
        ({"depth": "deep"}, r"training.hyperparameters.depth: .*\(got 'deep'\)"),
        ({"country": False}, "training.hyperparameters.country: .* reads it as the truth value false; quote it"),
    ],
)
def test_a_wrong_hyperparameter_is_named_with_its_value(tmp_path: Path, given: dict, said: str) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    schema = load_module(tmp_path).Hyperparameters
    with pytest.raises(InputError, match=said):
        check_hyperparameters(schema, TrainingSpec(hyperparameters=given), tmp_path)


def test_what_a_models_own_code_raises_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    module = load_module(tmp_path)
    with pytest.raises(OstinatoError, match=r"model\.py:10: ZeroDivisionError"), running_code_of(tmp_path):
        module.train(None, None, module.Hyperparameters(), 0)


@pytest.mark.parametrize("text", ["import no_such_package", "def train(:", "x = undefined"])
def test_a_module_that_does_not_import_is_told_with_the_reason(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.py").write_text(text)
    with pytest.raises(InputError, match="does not import"):
        load_module(tmp_path)


def test_one_class_only_is_refused_before_fitting() -> None:
    with pytest.raises(InputError, match="one class only"):
        check_target(pd.Series(["yes"] * 10), "classification", "answer")


def test_a_logistic_regression_needs_no_trusted_types(tmp_path: Path) -> None:
    rows, target = load_breast_cancer(return_X_y=True, as_frame=True)
    save_model(LogisticRegression(max_iter=10).fit(rows / rows.max(), target), tmp_path / "model", rows, (), {})
    assert load_model(tmp_path / "model").predict(rows.head(2)).shape == (2,)


def test_a_digest_is_the_one_of_whole_files_however_big_they_are(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "weights").write_bytes(os.urandom(3_000_001))
    (tmp_path / "a").write_bytes(b"")
    digest = hashlib.sha256()
    for path in (tmp_path / "a", tmp_path / "adapter" / "weights"):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(tmp_path).as_posix()}\0{len(content)}\0".encode() + content)
    assert model_digest(tmp_path) == f"sha256:{digest.hexdigest()}"
