"""The page of a run: what happened in each step, with links to the report, the verdict and every log."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from delivery.documents.data_card import DATA_CARD_FILE, DataCard
from delivery.documents.sample import SAMPLE_FILE
from delivery.documents.verdict import Verdict
from pipelines.backends.local import RunResult, StepRun
from training.spec import ModelSpec

PAGE = "index.html"
EVIDENCE = {"verdict": "verdict.json", "report": "report.html", "evidently": "evidently.html", "sample": SAMPLE_FILE}


@dataclass(frozen=True)
class StepRow:
    """One step as the page shows it."""

    name: str
    status: str
    note: str
    seconds: float
    log: str
    """Relative to the page, or empty."""


def write_pages(
    spec: ModelSpec, run: str, result: RunResult, verdict: Verdict | None, card: DataCard | None, failure: str
) -> Path:
    """Write ``index.html`` into the run's folder, beside the evidence; returns its path."""
    evidence = place_evidence(result)
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, autoescape=True, trim_blocks=True)
    page = result.run_dir / PAGE
    text = environment.get_template("run.html.j2").render(
        spec=spec,
        run=run,
        seconds=result.seconds,
        steps=[row(name, step, result.run_dir) for name, step in result.steps.items()],
        verdict=verdict,
        card=card,
        failure=failure,
        evidence=evidence,
        version=result.parameter("register", "version"),
        commit=result.parameter("deploy", "commit"),
        canary=result.parameter("deploy", "canary_percent"),
    )
    page.write_text(text, encoding="utf-8")
    return page


def place_evidence(result: RunResult) -> list[str]:
    """Put the evidence files beside the page, under names that a browser opens; returns the names that exist."""
    sources: dict[str, Path] = {}
    evaluated, rows = result.steps.get("evaluate"), result.steps["preprocess"]
    if evaluated:
        sources = {
            EVIDENCE[name]: artifact.path for name, artifact in evaluated.outputs.artifacts.items() if name in EVIDENCE
        }
    if "data" in rows.outputs.artifacts:
        sources[DATA_CARD_FILE] = rows.outputs.artifacts["data"].path / DATA_CARD_FILE
    placed = []
    for name, source in sources.items():
        target = result.run_dir / name
        if source.is_file():
            target.unlink(missing_ok=True)
            try:
                os.link(source, target)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(source, target)
            placed.append(name)
    return placed


def row(name: str, step: StepRun, run_dir: Path) -> StepRow:
    notes = {"cache": "unchanged, from the cache", "resume": "kept from before", "run": "", "": ""}
    retried = f"attempt {step.attempt}" if step.attempt > 1 else ""
    note = ", ".join(filter(None, (notes[step.origin], retried)))
    log = os.path.relpath(step.log, run_dir) if step.log and step.log.is_file() else ""
    return StepRow(name, "not started" if step.status == "waiting" else step.status, note, step.seconds, log)
