"""What stops a run after its rows have been read: too many refused, gaps, a hook that breaks its promise."""

from pathlib import Path

from components.evidence import REFUSED_FILE
from components.preprocess.contract import REASONS, Judged
from components.preprocess.scan import ROW
from components.preprocess.write import Written
from training.errors import InputError
from training.spec import DataSpec

EXAMPLES = 5


def check_refused(folder: Path, judged: Judged, seen: int, spec: DataSpec, uri: str) -> dict[str, int]:
    """Rows refused for each reason; a row with two faults counts under both. Removes an empty refused.parquet.

    Raises InputError with examples if more than ``data.max_refused`` of the seen rows, or all, were refused.
    """
    import polars as pl

    file = folder / REFUSED_FILE
    rows = pl.scan_parquet(file)
    refused = rows.select(pl.len()).collect().item()
    if not refused:
        file.unlink()
        return {}
    reasons = rows.select(pl.col(REASONS).explode().alias("reason")).group_by("reason").len()
    counts = dict(sorted(reasons.collect(engine="streaming").iter_rows()))
    if refused > spec.max_refused * seen or refused == seen:
        raise InputError(
            f"{uri}: {refused} of {seen} rows ({refused / seen:.2%}) break data.columns, "
            f"data.max_refused allows {spec.max_refused:.2%}\n"
            + "\n".join(f"  {count} x {reason}" for reason, count in counts.items())
            + "\nfor example\n"
            + "\n".join(_examples(rows.head(EXAMPLES).collect(), judged))
            + "\nmend the data, or the contract in data.columns"
        )
    return counts


def _examples(rows: "pl.DataFrame", judged: Judged) -> list[str]:
    rules = {rule.reason: rule for rule in judged.rules}
    lines = []
    for row in rows.iter_rows(named=True):
        rule = rules[row[REASONS][0]]
        lines.append(f"  row {row[ROW]}: {rule.column} is {_shown(row[rule.column])}: {rule.name}")
    return lines


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def check_gaps(written: Written, spec: DataSpec, uri: str) -> None:
    """Raise InputError if neighbouring times are further apart than ``data.max_gap``."""
    if written.gaps:
        shown = "\n".join(f"  {start} to {end}" for start, end in written.first_gaps)
        raise InputError(
            f"{uri}: {written.gaps} gap(s) in {spec.time} are longer than data.max_gap {spec.max_gap}, the first:\n"
            f"{shown}\nfill the gaps, or raise data.max_gap"
        )


def check_hook(written: Written, spec: DataSpec, folder: Path) -> None:
    """Raise InputError if the hook added rows or disturbed their order."""
    module = folder / "model.py"
    if written.made > written.kept:
        raise InputError(
            f"{module}: features() made {written.made} rows of {written.kept}; it may drop rows but not add any "
            "(a join on a key that is not unique does that)"
        )
    if written.falls:
        raise InputError(f"{module}: features() changed the order of the rows; sort them by {spec.time!r} again")
