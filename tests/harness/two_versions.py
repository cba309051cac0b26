"""A workspace in which the model `shop` has two registered versions that answer differently, and version 1 is live."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from harness.candidates import candidate, judge, model_spec
from harness.command_line import ROOT, environment
from harness.registered import Place
from harness.shops import amounts, fit_and_save, shop_rows

from delivery.models.folder import load_model

MODEL = "shop"


@dataclass(frozen=True)
class Shop:
    """The workspace, rows to ask with, and what each version says to them."""

    root: Path
    rows: pd.DataFrame
    answers: dict[str, np.ndarray]
    """(n,) by version."""

    @property
    def place(self) -> Place:
        home = self.root / ".ostinato"
        repository = home / "manifests.git"
        return Place(f"sqlite:///{home}/mlflow.db", repository, str(repository), home, model_spec(MODEL))

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
    folder = root / "training" / MODEL
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(model_spec(MODEL).canonical_json())
    shutil.copytree(ROOT / "manifests", root / "manifests")
    rows = shop_rows(400)
    asked = rows.head(8)
    answers: dict[str, np.ndarray] = {}
    shop = Shop(root, asked, answers)
    for weight in (1, 2):
        files = candidate(root / "work" / str(weight), weight, model=MODEL)
        shutil.rmtree(files.model)
        fit_and_save(files.model, rows, amounts(rows) + 1000 * weight)
        judge(files, weight, model=MODEL)
        answers[shop.place.register(weight, files)] = load_model(files.model).predict(asked)
    live = shop.ostinato("promote", MODEL, "--version", "1")
    assert live.returncode == 0, live.stderr
    return shop
