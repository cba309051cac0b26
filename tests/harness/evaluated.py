"""A case to judge: a data folder, model folders and specs, all real."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import polars as pl
import pytest
from harness.verdicts import data_card

from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
from delivery.documents.data_card import CardPart, ColumnCard
from delivery.documents.verdict import Verdict
from delivery.models.folder import save_model
from training.spec import Column, DataSpec, QualitySpec, ServingSpec

TRUSTED = ("sklearn.dummy.DummyClassifier", "sklearn.dummy.DummyRegressor", "numpy.dtype")


def outputs_in(folder: Path) -> EvaluateOutputs:
    names = ("verdict.json", "report.html", "evidently.html", "sample.json")
    return EvaluateOutputs(*(folder / name for name in names))


class Judged(NamedTuple):
    verdict: Verdict
    predictions: Any


@dataclass
class Case:
    """Everything that ``evaluate_task`` takes; ``run`` calls it."""

    root: Path
    task: str
    contract: DataSpec
    train: Any
    test: Any
    inputs: list[str] = field(default_factory=list)

    def save(self, name: str, estimator: Any, **facts: Any) -> Path:
        """A real model folder of an estimator that is fitted on the training rows unless it already is."""
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted

        try:
            check_is_fitted(estimator)
        except NotFittedError:
            estimator.fit(self.train[self.inputs], self.train[self.contract.target])
        folder = self.root / name
        save_model(estimator, folder, self.train[self.inputs], TRUSTED, facts)
        return folder

    def rewrite(self) -> None:
        """Write the frames again, with a card that describes them."""
        folder = self.root / "data"
        card = json.loads((folder / "data.json").read_text())
        for name, rows in (("train", self.train), ("test", self.test)):
            path = folder / f"{name}.parquet"
            pl.from_pandas(rows.reset_index(drop=True)).write_parquet(path)
            card[name] |= {"rows": len(rows), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        card["columns"] = [one for one in card["columns"] if one["name"] in self.test.columns]
        (folder / "data.json").write_text(json.dumps(card))

    def run(self, candidate: Path, champion: Path | None = None, **quality: Any) -> Judged:
        """The verdict, and what everyone predicted."""
        from components.evaluate.steps import evaluate_task

        inputs = EvaluateInputs(
            model="a-model",
            task=self.task,
            data_spec=self.contract.canonical_json(),
            quality_spec=QualitySpec.model_validate(quality).canonical_json(),
            serving_spec=ServingSpec().proven_json(),
            base_model="",
            champion_version="7" if champion else "",
            spec_digest="sha256:spec",
            code="sha256:code",
            data=self.root / "data",
            candidate=candidate,
            champion=champion or self.root / "no-champion",
        )
        return Judged(*evaluate_task(inputs, outputs_in(self.root)))


def make_case(root: Path, task: str, rows: pd.DataFrame, target: str, split: str = "key", unit: str = "") -> Case:
    """The last third of the rows is the test side; ``split`` "time" gives them hourly times from 2024-01-01."""
    rows = rows.reset_index(drop=True)
    if split == "time":
        rows["at"] = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(len(rows))]
    else:
        rows["id"] = [f"r{i}" for i in range(len(rows))]
    cut = len(rows) * 2 // 3
    sides = {"train": rows.iloc[:cut], "test": rows.iloc[cut:]}
    folder = root / "data"
    folder.mkdir(parents=True)
    parts = {}
    for name, part in sides.items():
        path = folder / f"{name}.parquet"
        pl.from_pandas(part).write_parquet(path)
        times = {"time_from": part["at"].min(), "time_to": part["at"].max()} if split == "time" else {}
        parts[name] = CardPart(rows=len(part), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), **times)
    roles: dict[str, Any] = {target: "target", "at": "time", "id": "key"}
    frame = pl.from_pandas(rows)
    card = data_card(
        model="a-model",
        source="data.csv",
        fingerprint="sha256:fingerprint",
        columns=tuple(
            ColumnCard(name=c, dtype=str(frame[c].dtype), role=roles.get(c, "input"), nulls=frame[c].null_count())
            for c in frame.columns
        ),
        refused_by_reason={"x <b>above</b> max": 3},
        **parts,
    )
    card.write(folder / "data.json")
    contract = DataSpec.model_validate(
        {
            "source": "data.csv",
            "columns": {c: _column(frame[c], unit if c == target else "") for c in frame.columns},
            "target": target,
            "time": "at" if split == "time" else None,
            "key": "id" if split == "key" else None,
            "split": {"by": "time", "test": "1w"} if split == "time" else {"by": "key", "test": 0.3},
        }
    )
    inputs = [c for c in frame.columns if roles.get(c) is None]
    return Case(root, task, contract, sides["train"], sides["test"], inputs)


def _column(column: pl.Series, unit: str) -> Column:
    kinds = {pl.String: "string", pl.Boolean: "bool", pl.Datetime: "datetime"}
    kind = next((k for dtype, k in kinds.items() if column.dtype == dtype), None)
    return Column(type=kind or ("int" if column.dtype.is_integer() else "float"), unit=unit, nullable=False)  # type: ignore[arg-type]


def _frame(load: Any) -> Any:
    return load(as_frame=True).frame


def shuffled(frame: Any) -> Any:
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture
def diabetes(tmp_path: Path) -> Case:
    """442 patients, hourly: predict the progression of the disease."""
    from sklearn.datasets import load_diabetes

    rows = shuffled(_frame(load_diabetes)).rename(columns={"target": "progression"})
    rows["group"] = ["high" if bmi > 0 else "low" for bmi in rows["bmi"]]
    rows["previous"] = rows["progression"].shift(1).fillna(150.0)
    case = make_case(tmp_path / "diabetes", "regression", rows, "progression", "time", "points")
    case.inputs.remove("group")
    return case


@pytest.fixture
def cancer(tmp_path: Path) -> Case:
    """569 tumours with text labels, malignant or benign, and the ten means of their measurements."""
    from sklearn.datasets import load_breast_cancer

    rows = shuffled(_frame(load_breast_cancer))
    rows = rows[[name for name in rows if name.startswith("mean") or name == "target"]].copy()
    rows["target"] = rows["target"].map({0: "malignant", 1: "benign"})
    rows["group"] = ["large" if r > 14 else "small" for r in rows["mean radius"]]
    case = make_case(tmp_path / "cancer", "classification", rows, "target")
    case.inputs.remove("group")
    return case


@pytest.fixture
def wine(tmp_path: Path) -> Case:
    """178 wines of three growers, numbered 0 to 2."""
    from sklearn.datasets import load_wine

    return make_case(tmp_path / "wine", "classification", shuffled(_frame(load_wine)), "target")
