"""What stops a run after rows have been read: too many refused, gaps, a hook that breaks its promise."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from components.preprocess.table.contract import REASONS, Rule
from components.preprocess.table.scan import ROW
from components.preprocess.table.write import Made
from training.errors import InputError
from training.spec import DataSpec, parse_duration

if TYPE_CHECKING:
    import polars as pl

EXAMPLES = 5


def check_refused(file: Path, rules: Iterable[Rule], seen: int, spec: DataSpec, uri: str) -> tuple[int, dict[str, int]]:
    """How many rows refused.parquet holds, and how many for each reason (a row with two faults counts under both).

    Removes the file if it holds none. Raises InputError with examples if more than ``data.max_refused`` of the
    ``seen`` rows, or all of them, were refused.
    """
    import polars as pl

    rows = pl.scan_parquet(file)
    refused = rows.select(pl.len()).collect().item()
    if not refused:
        file.unlink()
        return 0, {}
    reasons = rows.select(pl.col(REASONS).explode().alias("reason")).group_by("reason").len()
    counts = dict(sorted(reasons.collect(engine="streaming").iter_rows()))
    if refused > spec.max_refused * seen or refused == seen:
        raise InputError(
            f"{uri}: {refused} of {seen} rows ({refused / seen:.2%}) break data.columns, "
            f"data.max_refused allows {spec.max_refused:.2%}\n"
            + "\n".join(f"  {count} x {reason}" for reason, count in counts.items())
            + "\nfor example\n"
            + "\n".join(_examples(rows.head(EXAMPLES).collect(), rules))
            + "\nmend the data, or the contract in data.columns"
        )
    return refused, counts


def _examples(rows: "pl.DataFrame", rules: Iterable[Rule]) -> list[str]:
    by_reason = {rule.reason: rule for rule in rules}
    lines = []
    for row in rows.iter_rows(named=True):
        rule = by_reason[row[REASONS][0]]
        lines.append(f"  row {row[ROW]}: {rule.column} is {_shown(row[rule.column])}: {rule.name}")
    return lines


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def check_gaps(kept: "pl.LazyFrame", spec: DataSpec, uri: str) -> None:
    """Raise InputError if neighbouring times of the ordered rows are further apart than ``data.max_gap``."""
    import polars as pl

    if spec.max_gap is None or spec.time is None:
        return
    ends = kept.select(start=pl.col(spec.time).shift(1), end=pl.col(spec.time))
    gaps = ends.filter(pl.col("end") - pl.col("start") > parse_duration(spec.max_gap))
    count, *firsts = gaps.select(pl.len(), pl.all().head(EXAMPLES).implode()).collect(engine="streaming").row(0)
    if count:
        shown = "\n".join(f"  {start} to {end}" for start, end in zip(*firsts, strict=True))
        raise InputError(
            f"{uri}: {count} gap(s) in {spec.time} are longer than data.max_gap {spec.max_gap}, the first:\n"
            f"{shown}\nfill the gaps, or raise data.max_gap"
        )


def check_hook(made: Made, kept: int, spec: DataSpec, module: Path) -> None:
    """Raise InputError if the hook in ``module`` added rows or disturbed their order."""
    if made.rows > kept:
        raise InputError(
            f"{module}: features() made {made.rows} rows of {kept}; it may drop rows but not add any "
            "(a join on a key that is not unique does that)"
        )
    if made.falls:
        raise InputError(f"{module}: features() changed the order of the rows; sort them by {spec.time!r} again")
