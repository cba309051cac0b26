"""A workspace in which the model `shop` has two registered versions that answer differently, and version 1 is live."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from harness.candidates import candidate, model_spec, verdict
from harness.command_line import ROOT, environment
from harness.shops import amounts, fit_and_save, shop_rows

from components.register.steps import register
from delivery.models.folder import load_model
from delivery.registry.mlflow import mlflow_client

MODEL = "shop"


@dataclass(frozen=True)
class Shop:
    """The workspace, rows to ask with, and what each version says to them."""

    root: Path
    rows: pd.DataFrame
    answers: dict[str, np.ndarray]
    """(n,) by version."""

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pipelines.cli", *arguments]

    def ostinato(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=ROOT, env=environment(self.root), capture_output=True, text=True, timeout=120
        )

    def copy(self, root: Path) -> "Shop":
        """The same in a workspace of its own; the artifacts stay where they are."""
        shutil.copytree(self.root, root, ignore=shutil.ignore_patterns("artifacts", "work"))
        return Shop(root, self.rows, self.answers)


def make_shop(root: Path) -> Shop:
    spec = model_spec(MODEL)
    folder = root / "training" / MODEL
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(spec.canonical_json())
    shutil.copytree(ROOT / "manifests", root / "manifests")
    home = root / ".ostinato"
    home.mkdir()
    tracking_uri = f"sqlite:///{home}/mlflow.db"
    mlflow_client(tracking_uri)
    rows = shop_rows(400)
    asked = rows.head(8)
    answers = {}
    for weight in (1, 2):
        files = candidate(root / "work" / str(weight), weight, model=MODEL)
        shutil.rmtree(files.model)
        fit_and_save(files.model, rows, amounts(rows) + 1000 * weight)
        verdict(files, weight, "pass", MODEL).write(files.verdict)
        version = register(spec.canonical_json(), tracking_uri, "c0de", f"run-{weight}", files)
        answers[version] = load_model(files.model).predict(asked)
    shop = Shop(root, asked, answers)
    live = shop.ostinato("promote", MODEL, "--version", "1")
    assert live.returncode == 0, live.stderr
    return shop
