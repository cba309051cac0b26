"""Evaluate on a million rows against direct NumPy and against Evidently's presets on all rows.

    python benchmarks/evaluate.py [--rows 1000000] [--repeat 3] [--skip-evidently] [--json FILE]

Every figure is of a fresh process whose imports are done before the clock starts. All contestants read the same
Parquet file and predict with the same two models; the seconds inside ``predict`` are taken off everywhere, since
they are the models' own. 20 columns: 18 floats, one integer with 7 values (a slice), one that is the baseline.

- ours: the whole step: bootstrap, slices, drift, Evidently on the capped sample, verdict and both pages.
- fixed: the same on 10,000 rows; what is left of ours without it grows with the rows.
- numpy: read the file, and compute mae, rmse, r2, bias and mape of candidate, champion and baseline. Nothing else.
- evidently: RegressionPreset (candidate, champion) and DataDriftPreset (test, train) on all rows, saved as HTML.

Memory is the highest resident size minus that before the clock starts; the data is the size of the test rows in
Arrow. Prints Markdown rows.
"""

import argparse
import gc
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SMALL = 10_000
COLUMNS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--skip-evidently", action="store_true", help="leave out the slow comparison")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--worker", choices=sorted(WORKERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(WORKERS[given.worker](given.folder)))
        return
    with tempfile.TemporaryDirectory() as root:
        large, small = Path(root) / "large", Path(root) / "small"
        make_case(large, given.rows)
        make_case(small, SMALL)
        runs = {
            "ours": [measure("ours", large) for _ in range(given.repeat)],
            "fixed": [measure("ours", small) for _ in range(given.repeat)],
            "numpy": [measure("numpy", large) for _ in range(given.repeat)],
        }
        if not given.skip_evidently:
            runs["evidently"] = [measure("evidently", large)]
    found = summary(given.rows, {name: median(figures) for name, figures in runs.items()})
    print(markdown(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


def make_case(folder: Path, rows: int) -> None:
    """Train (a fifth as many) and test rows, two linear models, a data card."""
    import numpy as np
    import polars as pl
    from sklearn.linear_model import LinearRegression

    from delivery.documents.data_card import CardPart, ColumnCard, DataCard
    from delivery.models.folder import save_model

    (folder / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    parts = {}
    for side, count in (("train", max(rows // 5, 5000)), ("test", rows)):
        x = rng.normal(size=(count, 18))
        frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(18)}).with_columns(
            pl.Series("weekday", rng.integers(0, 7, count)),
            pl.Series("target", 100 + 10 * x[:, 0] + 5 * x[:, 1] + rng.normal(0, 5, count)),
        )
        frame = frame.with_columns(previous=pl.col("target").shift(1).fill_null(100.0))
        path = folder / "data" / f"{side}.parquet"
        frame.write_parquet(path)
        parts[side] = CardPart(rows=count, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        if side == "train":
            inputs = frame.drop("target").to_pandas()
            for name, used in (("candidate", 18), ("champion", 1)):
                known = inputs.assign(**{f"x{i}": 0.0 for i in range(used, 18)})
                save_model(LinearRegression().fit(known, frame["target"].to_numpy()), folder / name, inputs, (), {})
    DataCard(
        model="benchmark",
        source="generated",
        snapshot="",
        fingerprint="",
        split="",
        columns=tuple(
            ColumnCard(name=c, dtype=str(frame[c].dtype), role="target" if c == "target" else "input", nulls=0)
            for c in frame.columns
        ),
        train=parts["train"],
        test=parts["test"],
    ).write(folder / "data" / "data.json")


def measure(worker: str, folder: Path) -> dict[str, float]:
    """Run one worker in a fresh process."""
    command = [sys.executable, __file__, "--worker", worker, "--folder", str(folder)]
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=root, env={**os.environ, "PYTHONPATH": root}
    )
    return json.loads(done.stdout.splitlines()[-1])


def timed(work: Callable[[], None]) -> dict[str, float]:
    """Seconds beyond predict, CPU seconds, and MiB that the resident size grew at its highest."""
    from delivery.models.folder import Predictor

    inside = {"wall": 0.0, "cpu": 0.0}
    predict = Predictor.predict

    def clocked(self: Predictor, rows: Any) -> Any:
        started, cpu = time.perf_counter(), time.process_time()
        try:
            return predict(self, rows)
        finally:
            inside["wall"] += time.perf_counter() - started
            inside["cpu"] += time.process_time() - cpu

    Predictor.predict = clocked
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # The highest size starts again from here.
    before = memory_mib("VmRSS")
    started, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    grown = memory_mib("VmHWM") - before
    beyond = {"seconds": wall - inside["wall"], "cpu": cpu - inside["cpu"]}
    return beyond | {"predict": inside["wall"], "mib": grown, "base_mib": before}


def memory_mib(field: str) -> float:
    """`VmRSS`, the resident size, or `VmHWM`, its highest since the last reset, of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def ours(folder: Path) -> dict[str, float]:
    import evidently.presets  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import skops.io  # noqa: F401

    from components.evaluate.shared.arguments import EvaluateInputs, EvaluateOutputs
    from components.evaluate.steps import evaluate_task
    from training.spec import Column, DataSpec, QualitySpec, ServingSpec

    columns = {name: Column(type="float") for name in ("previous", "target", *(f"x{i}" for i in range(18)))}
    columns |= {"weekday": Column(type="int"), "id": Column(type="int")}
    split: Any = {"by": "key", "test": 0.5}
    contract = DataSpec(source="-", columns=columns, target="target", key="id", split=split)
    checks = [
        {"kind": "absolute", "metric": "r2", "min": 0.5},
        {"kind": "champion", "metric": "mae", "margin": 0.02},
        {"kind": "baseline", "metric": "mae", "margin": -0.2},
        {"kind": "slice", "column": "weekday", "metric": "mae", "champion_margin": 0.1},
        {"kind": "drift", "max_share": 0.5},
        {"kind": "size", "max_mib": 10},
    ]
    baseline = {"kind": "column", "column": "previous"}
    quality = QualitySpec.model_validate({"metric": "mae", "baseline": baseline, "checks": checks})

    inputs = EvaluateInputs(
        *("benchmark", "regression", contract.canonical_json(), quality.canonical_json()),
        *(ServingSpec().proven_json(), "", "1", "", ""),
        *(folder / "data", folder / "candidate", folder / "champion"),
    )
    names = ("verdict.json", "report.html", "evidently.html", "sample.json")

    def work() -> None:
        verdict, _ = evaluate_task(inputs, EvaluateOutputs(*(folder / name for name in names)))
        assert verdict.decision == "pass"

    return timed(work)


def numpy(folder: Path) -> dict[str, float]:
    import evidently.presets  # noqa: F401  (the same start as ours)
    import numpy as np
    import polars as pl
    import sklearn.linear_model  # noqa: F401
    import skops.io  # noqa: F401

    from delivery.models.folder import load_model

    def work() -> None:
        frame = pl.read_parquet(folder / "data" / "test.parquet")
        actual = frame["target"].to_numpy()
        rows = frame.drop("target").to_pandas()
        said = [load_model(folder / name).predict(rows) for name in ("candidate", "champion")]
        for predicted in (*said, rows["previous"].to_numpy()):
            error = predicted - actual
            absolute = np.abs(error)
            squared = error @ error
            found = [
                absolute.mean(),
                np.sqrt(squared / len(error)),
                1 - squared / ((actual - actual.mean()) ** 2).sum(),
                error.mean(),
                (absolute / np.abs(actual)).mean(),
            ]
            assert np.isfinite(found).all()

    return timed(work)


def evidently(folder: Path) -> dict[str, float]:
    import evidently.presets  # noqa: F401
    import polars as pl
    from evidently import DataDefinition, Dataset, Regression, Report
    from evidently.presets import DataDriftPreset, RegressionPreset

    from delivery.models.folder import load_model

    def work() -> None:
        test, train = (pl.read_parquet(folder / "data" / f"{side}.parquet").to_pandas() for side in ("test", "train"))
        definition = DataDefinition(numerical_columns=list(test), regression=[Regression(prediction="said")])
        sides = [
            Dataset.from_pandas(test.assign(said=load_model(folder / name).predict(test)), data_definition=definition)
            for name in ("candidate", "champion")
        ]
        quality = Report([RegressionPreset()]).run(sides[0], sides[1])
        quality.save_html(str(folder / "quality.html"))
        inputs = DataDefinition(numerical_columns=[name for name in test if name != "target"])
        pair = [Dataset.from_pandas(rows, data_definition=inputs) for rows in (test, train)]
        Report([DataDriftPreset()]).run(pair[0], pair[1]).save_html(str(folder / "drift.html"))

    return timed(work)


WORKERS = {"ours": ours, "numpy": numpy, "evidently": evidently}


def median(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in figures) for name in figures[0]}


def summary(rows: int, figures: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Medians and the ratios that the project promises."""
    data_mib = rows * (COLUMNS + 1) * 8 / 2**20
    ours, fixed, numpy = (figures[name] for name in ("ours", "fixed", "numpy"))
    ratios = {
        "growing part of ours to NumPy, seconds (at most 3)": (ours["seconds"] - fixed["seconds"]) / numpy["seconds"],
        "growing part of ours to NumPy, CPU seconds": (ours["cpu"] - fixed["cpu"]) / numpy["cpu"],
        "peak memory of ours to the data (at most 3)": ours["mib"] / data_mib,
    }
    if "evidently" in figures:
        ratios["Evidently on all rows to ours, seconds (at least 10)"] = (
            figures["evidently"]["seconds"] / ours["seconds"]
        )
        ratios["Evidently on all rows to ours, CPU seconds"] = figures["evidently"]["cpu"] / ours["cpu"]
    return {"rows": rows, "columns": COLUMNS, "data_mib": data_mib, "figures": figures, "ratios": ratios}


def markdown(found: dict[str, Any]) -> str:
    names = {
        "ours": "evaluate, everything",
        "fixed": f"evaluate on {SMALL:,} rows (the fixed part)",
        "numpy": "headline metrics with NumPy",
        "evidently": "Evidently's presets on all rows",
    }
    lines = [
        f"{found['rows']:,} rows x {found['columns']} columns, {found['data_mib']:.0f} MiB in Arrow.\n",
        "| what | s beyond predict | CPU s beyond predict | s in predict | peak MiB above start |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, one in found["figures"].items():
        lines.append(
            f"| {names[name]} | {one['seconds']:.2f} | {one['cpu']:.2f} | {one['predict']:.2f} | {one['mib']:.0f} |"
        )
    lines += ["", "| ratio | value |", "| --- | ---: |"]
    lines += [f"| {name} | {value:.2f} |" for name, value in found["ratios"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
