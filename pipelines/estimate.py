"""`ostinato estimate`: what a run will take and cost, from past runs and published prices, before it is submitted."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pipelines.backends.local.engine import MANIFEST
from pipelines.backends.local.record import read_json
from pipelines.backends.remote import BackendClient
from pipelines.backends.row import Backend, PriceList
from pipelines.backends.table import find_backend
from pipelines.settings.settings import Workspace
from training.spec import ModelSpec

ALL_STEPS = ("preflight", "preprocess", "train", "champion", "evaluate", "register", "deploy")
OLD_DAYS = 365
"""After which prices are said to be old."""
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
    """Where machines have a price: the type that the spec names, else the smallest that has what the spec asks for."""
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
    """The backend that the times come from: `local` where the one that is asked for has had no run."""
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


def estimate(workspace: Workspace, spec: ModelSpec, backend: str) -> Estimate:
    """What a run on the backend would take and cost.

    Past runs are those on the backend where the settings say where it is, else those on this machine. Raises
    InputError for an unknown backend or a wrong file of prices, and OstinatoError if the backend can't be used.
    """
    row, section = find_backend(backend), workspace.settings.of_backend(backend)
    times = remote_times(row.client(section), spec.name) if row.client and section.is_set_up else {}
    measured = backend
    if not times:
        times, measured = local_times(workspace, spec.name), "local"
    file = Path(workspace.root / workspace.settings.prices) if workspace.settings.prices else None
    prices = row.prices(section, file) if row.prices else None
    steps = tuple(_step(spec, step, times.get(step, []), prices) for step in ALL_STEPS)
    costs = [step.cost for step in steps] + [prices.run_fee] if prices else []
    return Estimate(
        model=spec.name,
        backend=backend,
        measured=measured,
        steps=steps,
        seconds=_sum([step.seconds for step in steps]),
        cost=_sum(costs) if prices else None,
        known_cost=sum(cost for cost in costs if cost is not None) if prices else None,
        currency=prices.currency if prices else "",
        prices_read=prices.read.isoformat() if prices else "",
        notes=(*_time_notes(backend, measured, steps), *_price_notes(row, steps, prices)),
    )


def _step(spec: ModelSpec, step: str, seconds: Sequence[float], prices: PriceList | None) -> StepEstimate:
    median = statistics.median(seconds) if seconds else None
    timed = StepEstimate(step, len(seconds), median, min(seconds, default=None), max(seconds, default=None))
    if prices is None:
        return timed
    machine, hour = prices.machine(spec, step)
    cost = median / 3600 * hour if median is not None and hour is not None else None
    return replace(timed, machine=machine, hour=hour, cost=cost)


def local_times(workspace: Workspace, model: str) -> dict[str, list[float]]:
    """Seconds of each step in this workspace's newest runs of the model, where it ran to its end."""
    times: dict[str, list[float]] = {}
    files = sorted(workspace.runs.glob(f"{model}-*/{MANIFEST}"), key=lambda path: path.stat().st_mtime, reverse=True)
    manifests = [manifest for path in files if (manifest := read_json(path)) and manifest.get("pipeline") == model]
    for manifest in manifests[:MOST_RUNS]:
        for name, step in manifest.get("steps", {}).items():
            if step.get("status") == "succeeded" and step.get("origin") == "run":
                times.setdefault(name, []).append(float(step["seconds"]))
    return times


def remote_times(client: BackendClient, model: str) -> dict[str, list[float]]:
    """Seconds of each step in the backend's newest runs of the model, where it ran to its end."""
    since = datetime.now(UTC) - timedelta(days=180)
    times: dict[str, list[float]] = {}
    runs = [run for run in client.runs(since) if run.model == model]
    for run in runs[:MOST_RUNS]:
        for step in client.get(run.run).steps:
            if step.state == "succeeded" and step.seconds is not None:
                times.setdefault(step.name, []).append(step.seconds)
    return times


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _time_notes(backend: str, measured: str, steps: Sequence[StepEstimate]) -> list[str]:
    notes = []
    if unknown := [step.step for step in steps if step.seconds is None]:
        notes.append(f"no time is known of {', '.join(unknown)}: no run here or there came to its end with it")
    if backend != measured and any(step.seconds is not None for step in steps):
        notes.append(
            f"the times are of this machine, since no run on {backend} is known; other machines take other times"
        )
    return notes


def _price_notes(row: Backend, steps: Sequence[StepEstimate], prices: PriceList | None) -> list[str]:
    cached = "a step that the cache answers takes seconds and costs next to nothing"
    if prices is None:
        unpublished = f"{row.title} publishes no prices: what a node costs is between you and who runs it"
        return [unpublished, cached] if row.client else [cached]
    notes = [*prices.notes]
    if unpriced := sorted({f"{step.machine} ({step.step})" for step in steps if step.hour is None}):
        region = f" in {prices.region}" if prices.region else ""
        table = "the setting prices takes a table of your own"
        notes.append(f"no price is known{region} of {', '.join(unpriced)}; {table}")
    if (date.today() - prices.read).days > OLD_DAYS:
        notes.append(f"the prices were read on {prices.read}, more than a year ago")
    return [*notes, cached, NOT_COUNTED]
