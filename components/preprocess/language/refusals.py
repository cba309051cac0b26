"""Conversations that are refused: kept with their reasons, counted, and too many of them stop the run."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.preprocess.card import MESSAGES
from components.preprocess.language.messages import Written
from components.preprocess.language.turns import Fault
from components.preprocess.table.checks import EXAMPLES
from components.preprocess.table.contract import REASONS
from components.preprocess.table.scan import ROW
from training.errors import InputError
from training.spec import ConversationSpec


@dataclass(frozen=True)
class Refusal:
    written: Written
    faults: tuple[Fault, ...]


def counts_of(refusals: Sequence[Refusal]) -> dict[str, int]:
    """How many rows for each reason; a row with two faults counts under both."""
    return dict(sorted(Counter(fault.reason for refusal in refusals for fault in refusal.faults).items()))


def check_refusals(refusals: Sequence[Refusal], seen: int, spec: ConversationSpec, uri: str) -> None:
    """Raise InputError with examples if more than ``data.max_refused`` of the ``seen`` rows, or all, were refused."""
    count = len(refusals)
    if count <= spec.max_refused * seen and count < seen:
        return
    examples = [f"  {refusal.written.place}: {'; '.join(map(str, refusal.faults))}" for refusal in refusals[:EXAMPLES]]
    raise InputError(
        f"{uri}: {count} of {seen} conversations ({count / seen:.2%}) are refused, data.max_refused allows "
        f"{spec.max_refused:.2%}\n"
        + "\n".join(f"  {count} x {reason}" for reason, count in counts_of(refusals).items())
        + "\nfor example\n"
        + "\n".join(examples)
        + "\nmend the data, or raise data.max_refused"
    )


def write_refusals(file: Path, refusals: Sequence[Refusal], columns: Sequence[str]) -> None:
    """Row number, place, reasons, and what was there as JSON text, in the order of the source."""
    import polars as pl

    rows = [
        {
            ROW: refusal.written.number,
            "_place": Path(refusal.written.place).name,
            REASONS: [fault.reason for fault in refusal.faults],
            **{name: _text(refusal.written.values.get(name)) for name in (MESSAGES, *columns)},
        }
        for refusal in refusals
    ]
    schema = {ROW: pl.UInt32, "_place": pl.String, REASONS: pl.List(pl.String)}
    schema |= dict.fromkeys((MESSAGES, *columns), pl.String)
    pl.DataFrame(rows, schema=schema).write_parquet(file, compression="zstd")


def _text(value: object) -> str | None:
    """ASCII, so that a lone surrogate can be written too."""
    return None if value is None else json.dumps(value, default=str)
