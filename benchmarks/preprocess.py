"""preprocess against a hand-written Polars streaming query that does the same work, on Parquet of 20 columns.

    python benchmarks/preprocess.py [--rows 10000000] [--runs 3] [--json FILE]

Both check every column against the same contract, refuse the same rows (with reasons, into a side file), split by
time or by key and write two Parquet files; each run is a fresh process, the two alternate, the median counts.
preprocess also hashes the source and what it wrote, looks for the order of the times, and writes the data card. The
hand-written query parts by a remainder of the key instead of a hash. Prints Markdown rows.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

CHUNK = 1_000_000
FLOATS = [f"f{i}" for i in range(9)]
INTS = [f"i{i}" for i in range(5)]
STRINGS = [f"s{i}" for i in range(3)]
PLACES = [f"place-{i}" for i in range(50)]
RATIO_TARGET, MEMORY_TARGET_GIB = 1.3, 1.5


def make(path: Path, rows: int) -> None:
    """Rows of mixed types, one every 30 seconds; 1 in 1,000 has a value out of range, 1 in 1,000 no target."""
    import numpy as np
    import polars as pl
    import pyarrow.parquet as pq

    writer = None
    for start in range(0, rows, CHUNK):
        random = np.random.default_rng(start)
        count = min(CHUNK, rows - start)
        number = pl.int_range(start, start + count, eager=True)
        columns = {name: random.normal(size=count).round(4) for name in FLOATS}
        columns |= {name: random.integers(0, 1000, count) for name in INTS}
        columns |= {name: np.array(PLACES)[random.integers(0, len(PLACES), count)] for name in STRINGS}
        columns |= {"target": random.normal(size=count)}
        frame = pl.DataFrame(columns).with_columns(
            time=pl.datetime(2010, 1, 1, time_unit="us") + pl.duration(seconds=number * 30),
            key=number * 7919,
            f0=pl.when(pl.Series(random.random(count) < 0.001)).then(1e9).otherwise("f0"),
            target=pl.when(pl.Series(random.random(count) < 0.001)).then(None).otherwise("target"),
        )
        table = frame.to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=250_000)
    assert writer
    writer.close()


def spec_of(source: Path, split: str) -> str:
    """Canonical JSON of the contract that both sides check."""
    from training.spec import DataSpec

    columns: dict[str, dict[str, Any]] = {"time": {"type": "datetime"}, "key": {"type": "int"}}
    columns |= {name: {"type": "float", "min": -100, "max": 100} for name in FLOATS}
    columns |= {name: {"type": "int", "min": 0, "max": 1000} for name in INTS}
    columns |= {name: {"type": "string"} for name in STRINGS} | {"target": {"type": "float"}}
    columns["s0"]["allowed"] = PLACES
    rule = {"by": "time", "test": "26w"} if split == "time" else {"by": "key", "test": 0.1}
    given = {"source": str(source), "columns": columns, "target": "target", "time": "time", "key": "key", "split": rule}
    return DataSpec.model_validate(given).canonical_json()


def run_ours(source: Path, split: str, out: Path) -> None:
    from components.preprocess.steps import preprocess

    root = out.parent / "workspace"
    (root / "training" / "bench").mkdir(parents=True, exist_ok=True)
    (root / "training" / "bench" / "spec.yaml").touch()
    os.environ["OSTINATO_WORKSPACE"] = str(root)
    preprocess("bench", spec_of(source, split), "", "", "", out)


def run_by_hand(source: Path, split: str, out: Path) -> None:
    import polars as pl

    out.mkdir()
    rows = pl.scan_parquet(source, row_index_name="row")
    faults = {
        **{
            f"{name} is missing": pl.col(name).is_null() for name in ["time", "key", *FLOATS, *INTS, *STRINGS, "target"]
        },
        **{f"{name} is not finite": ~pl.col(name).is_finite() for name in [*FLOATS, "target"]},
        **{f"{name} is out of range": ~pl.col(name).is_between(-100, 100) for name in FLOATS},
        **{f"{name} is out of range": ~pl.col(name).is_between(0, 1000) for name in INTS},
        "s0 is not allowed": ~pl.col("s0").is_in(PLACES),
    }
    bad = pl.any_horizontal(faults.values()).fill_null(False)
    reasons = pl.concat_list(pl.when(fault).then(pl.lit(name)) for name, fault in faults.items()).list.drop_nulls()
    rows.filter(bad).with_columns(reasons=reasons).sink_parquet(out / "refused.parquet", engine="streaming")
    counts = pl.scan_parquet(out / "refused.parquet").select(pl.col("reasons").explode().value_counts()).collect()
    assert counts.height
    kept = rows.filter(~bad).drop("row")
    if split == "time":
        last = rows.select(pl.col("time").max()).collect(engine="streaming").item()
        tested = pl.col("time") > last - timedelta(weeks=26)
    else:
        tested = pl.col("key") // 7919 % 10 == 0
    kept.filter(~tested).sink_parquet(out / "train.parquet", engine="streaming")
    kept.filter(tested).sink_parquet(out / "test.parquet", engine="streaming")


RUNNERS = {"preprocess": run_ours, "by hand": run_by_hand}


def measured(who: str, source: Path, split: str) -> dict[str, float]:
    """Wall seconds, CPU seconds and peak GiB of one run in a fresh process, imports included."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        command = [sys.executable, __file__, "--child", who, str(source), split, f"{folder}/data"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=child_environment())
    return json.loads(done.stdout)


def child_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[1])}


def child(who: str, source: str, split: str, out: str) -> None:
    start = time.perf_counter()
    RUNNERS[who](Path(source), split, Path(out))
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts = {"wall_s": time.perf_counter() - start, "cpu_s": used.ru_utime + used.ru_stime}
    print(json.dumps(facts | {"peak_gib": used.ru_maxrss / 2**20}))


def compare(source: Path, split: str, runs: int) -> dict[str, Any]:
    """Medians of both, and the ratios of ours to the hand-written query's."""
    found: dict[str, list[dict[str, float]]] = {who: [] for who in RUNNERS}
    for _ in range(runs):
        for who in RUNNERS:
            found[who].append(measured(who, source, split))
    ours, hand = (
        {name: statistics.median(run[name] for run in found[who]) for name in found[who][0]} for who in RUNNERS
    )
    ratios = {f"{name}_ratio": ours[name] / hand[name] for name in ("wall_s", "cpu_s")}
    return {"split": split, "preprocess": ours, "by_hand": hand, **ratios, "raw": found}


def table(rows: int, results: list[dict[str, Any]]) -> str:
    lines = [
        f"preprocess, {rows:,} rows x 20 columns | ours, s | by hand, s | ratio (target {RATIO_TARGET}) "
        f"| CPU ratio | ours, peak GiB (target {MEMORY_TARGET_GIB}) | by hand, peak GiB",
        "---|---|---|---|---|---|---",
    ]
    for result in results:
        ours, hand = result["preprocess"], result["by_hand"]
        lines.append(
            f"split by {result['split']} | {ours['wall_s']:.2f} | {hand['wall_s']:.2f} | {result['wall_s_ratio']:.2f} "
            f"| {result['cpu_s_ratio']:.2f} | {ours['peak_gib']:.2f} | {hand['peak_gib']:.2f}"
        )
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(*given.child)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "rows.parquet"
        make(source, given.rows)
        results = [compare(source, split, given.runs) for split in ("time", "key")]
    print(table(given.rows, results))
    if given.json:
        given.json.write_text(json.dumps({"rows": given.rows, "results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
