"""`ostinato estimate`: what a run will take and cost, from past runs and published prices, before it is submitted."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pipelines.backends.local.engine import MANIFEST
from pipelines.backends.local.record import read_json
from pipelines.backends.remote import Engine
from pipelines.backends.vertex.machines import machine_for
from pipelines.backends.vertex.target import asked
from pipelines.estimate.prices import OLD_DAYS, Prices
from pipelines.settings.settings import Workspace
from training.spec.model import ModelSpec

ALL_STEPS = ("preprocess", "train", "champion", "evaluate", "register", "deploy")
MOST_RUNS = 10
"""Past runs that are looked at: the newest."""
NOT_COUNTED = (
    "waiting for machines and pulling the image, storage, network, MLflow's server, the serving of the model, "
    "discounts and taxes are not counted"
)


@dataclass(frozen=True)
class StepEstimate:
    """A step of a run that is to come."""

    step: str
    runs: int
    """Past runs in which the step ran and was not answered by a cache; the times are theirs."""
    seconds: float | None
    """Median; None where it never ran."""
    low: float | None
    high: float | None
    """Shortest and longest."""
    machine: str = ""
    """Of Vertex AI: the type that the spec names, else the smallest that has what the spec asks for."""
    hour: float | None = None
    """Price of an hour of it."""
    cost: float | None = None
    """``seconds / 3600 * hour``."""


@dataclass(frozen=True)
class Estimate:
    """A run that is to come."""

    model: str
    backend: str
    measured: str
    """Where the times come from: the backend, or `laptop` where it has had no run."""
    steps: tuple[StepEstimate, ...]
    seconds: float | None
    """Of all steps, which go one after the other; None where a step's is not known."""
    cost: float | None
    """Of all steps and the run itself; None where a part is not known, or nothing is published."""
    known_cost: float | None
    """Of the parts that are known: the least that it will cost."""
    currency: str
    prices_read: str
    """When the prices were compared with what is published."""
    notes: tuple[str, ...]


def estimate(workspace: Workspace, spec: ModelSpec, backend: str, engine: Engine | None, prices: Prices) -> Estimate:
    """What a run on the backend would take and cost.

    engine: to ask for past runs; None for the laptop, or where none is set up. Raises OstinatoError if it can't be
    used.
    """
    times = engine_times(engine, spec.name) if engine else {}
    measured = backend
    if not times:
        times, measured = laptop_times(workspace, spec.name), "laptop"
    region = workspace.settings.vertex.region if backend == "vertex" else ""
    steps = tuple(_step(spec, step, times.get(step, []), backend, region, prices) for step in ALL_STEPS)
    fee = prices.run if backend == "vertex" else None
    parts = [step.cost for step in steps] + [fee]
    known = [part for part in parts if part is not None]
    paid = backend == "vertex"
    return Estimate(
        model=spec.name,
        backend=backend,
        measured=measured,
        steps=steps,
        seconds=_sum([step.seconds for step in steps]),
        cost=_sum(parts) if paid else None,
        known_cost=sum(known) if paid else None,
        currency=prices.currency,
        prices_read=prices.read.isoformat() if paid else "",
        notes=tuple(_notes(backend, measured, steps, region, prices)),
    )


def _step(
    spec: ModelSpec, step: str, seconds: Sequence[float], backend: str, region: str, prices: Prices
) -> StepEstimate:
    median = statistics.median(seconds) if seconds else None
    ends = (min(seconds), max(seconds)) if seconds else (None, None)
    found = StepEstimate(step, len(seconds), median, *ends)
    if backend != "vertex":
        return found
    (field, resources), wanted = asked(spec, step), spec.steps.of(step)
    accelerator = resources.accelerator
    machine = wanted.machine_type or machine_for(resources, field, f"steps.{step}.machine_type")
    kind, count = (accelerator.type, accelerator.count) if accelerator else ("", 0)
    hour = prices.hour(region, machine, kind, count, wanted.spot)
    cost = median / 3600 * hour if median is not None and hour is not None else None
    return StepEstimate(step, len(seconds), median, *ends, machine, hour, cost)


def laptop_times(workspace: Workspace, model: str) -> dict[str, list[float]]:
    """Seconds of each step in this workspace's newest runs of the model, where it ran to its end."""
    found: dict[str, list[float]] = {}
    folders = sorted(workspace.runs.glob(f"{model}-*/{MANIFEST}"), key=lambda path: path.stat().st_mtime, reverse=True)
    own = [manifest for path in folders if (manifest := read_json(path)) and manifest.get("pipeline") == model]
    for manifest in own[:MOST_RUNS]:
        for name, step in manifest.get("steps", {}).items():
            if step.get("status") == "succeeded" and step.get("origin") == "run":
                found.setdefault(name, []).append(float(step["seconds"]))
    return found


def engine_times(engine: Engine, model: str) -> dict[str, list[float]]:
    """Seconds of each step in the engine's newest runs of the model, where it ran to its end."""
    since = datetime.now(UTC) - timedelta(days=180)
    found: dict[str, list[float]] = {}
    own = [run for run in engine.runs(since) if run.model == model]
    for run in own[:MOST_RUNS]:
        for step in engine.get(run.run).steps:
            if step.state == "succeeded" and step.seconds is not None:
                found.setdefault(step.name, []).append(step.seconds)
    return found


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _notes(backend: str, measured: str, steps: Sequence[StepEstimate], region: str, prices: Prices) -> list[str]:
    notes = []
    if unknown := [step.step for step in steps if step.seconds is None]:
        notes.append(f"no time is known of {', '.join(unknown)}: no run here or there came to its end with it")
    if backend != measured and any(step.seconds is not None for step in steps):
        why = f"no run on {backend} is known"
        notes.append(f"the times are of this laptop, since {why}; other machines take other times")
    if backend == "kubeflow":
        notes.append("Kubeflow publishes no prices: what a node costs is between you and who runs it")
    if backend == "vertex":
        if not region:
            notes.append("vertex.region is not set, and prices differ by region")
        if unpriced := sorted({f"{step.machine} ({step.step})" for step in steps if step.hour is None}):
            where = f" in {region}" if region else ""
            table = "the setting prices takes a table of your own"
            notes.append(f"no price is known{where} of {', '.join(unpriced)}; {table}")
        if (date.today() - prices.read).days > OLD_DAYS:
            notes.append(f"the prices were read on {prices.read}, more than a year ago")
    notes.append("a step that the cache answers takes seconds and costs next to nothing")
    return [*notes, NOT_COUNTED] if backend == "vertex" else notes
