"""The six steps over paths: the same plain functions of ``components/`` for every side of the comparison.

The side passes on what a step returns: folders and short texts. ``BENCH_AS_OF`` is the day up to which rows are seen.
"""

import os
from functools import cache
from pathlib import Path

from training.folder import model_spec, workspace_root
from training.spec import ModelSpec

MODEL = "demand-forecaster"
ROOT = workspace_root()
HOME = ROOT / ".ostinato"
OUT = HOME / "by-hand"
TRACKING_URI = f"sqlite:///{HOME / 'mlflow.db'}"
MANIFESTS = str(HOME / "manifests.git")


@cache
def spec() -> ModelSpec:
    return model_spec(ROOT, MODEL)


def preprocess() -> str:
    """Returns the data folder."""
    from components.preprocess.steps import preprocess

    preprocess(MODEL, spec().data.canonical_json(), "", "", os.environ["BENCH_AS_OF"], OUT / "data")
    return str(OUT / "data")


def train(data: str) -> str:
    """Returns the model folder."""
    from components.train.steps import train

    contract, training = spec().data.canonical_json(), spec().training.canonical_json()
    train(MODEL, spec().task, contract, training, Path(data), OUT / "candidate")
    return str(OUT / "candidate")


def champion(candidate: str) -> str:
    """Returns the champion's version, empty without one; its model folder is ``OUT / "champion"``."""
    from components.champion.steps import fetch_comparison
    from delivery.connections import Connections
    from delivery.git.repository import ensure_local_repository

    ensure_local_repository(Path(MANIFESTS), ROOT / "manifests")
    comparison = fetch_comparison(MODEL, Connections(TRACKING_URI, MANIFESTS), Path(candidate), OUT / "champion")
    return comparison.version if comparison else ""


def evaluate(data: str, candidate: str, champion_version: str) -> str:
    """Returns the folder with verdict.json, report.html, evidently.html and sample.json."""
    from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
    from components.evaluate.steps import evaluate_task

    judged = OUT / "judged"
    judged.mkdir(exist_ok=True)
    inputs = EvaluateInputs(
        model=MODEL,
        task=spec().task,
        data_spec=spec().data.canonical_json(),
        quality_spec=spec().quality.canonical_json(),
        serving_spec=spec().serving.proven_json(),
        base_model="",
        champion_version=champion_version,
        spec_digest=spec().digest(),
        code="",
        data=Path(data),
        candidate=Path(candidate),
        champion=OUT / "champion",
    )
    names = ("verdict.json", "report.html", "evidently.html", "sample.json")
    evaluate_task(inputs, EvaluateOutputs(*(judged / name for name in names)))
    return str(judged)


def register(data: str, candidate: str, judged: str) -> str:
    """Returns the version."""
    from components.register.steps import Candidate, register

    names = ("verdict.json", "report.html", "evidently.html", "sample.json")
    files = Candidate(Path(data), Path(candidate), *(Path(judged, name) for name in names))
    return register(spec().canonical_json(), TRACKING_URI, "unknown", "by-hand", files)


def deploy(version: str, judged: str) -> str:
    """Returns the commit."""
    from components.deploy.steps import deploy
    from delivery.connections import Connections

    verdict = Path(judged, "verdict.json")
    connections, mode = Connections(TRACKING_URI, MANIFESTS), spec().release.mode
    return deploy(spec().canonical_json(), connections, version, mode, "unknown", "by-hand", verdict).commit
