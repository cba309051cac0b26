"""A pinned test set: its bytes never change, and nothing in it is trained on."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from components.preprocess.table.scan import reading
from components.preprocess.table.split import Sides, identity, keys, on_test_side
from components.preprocess.table.survey import parse_as_of
from delivery.stores.sources import fetch, file_sha256
from training.errors import InputError
from training.spec import DataSpec, TestSet, parse_duration

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Pinned:
    """The pinned rows, as a local file, and what is wrong with the pin where the spec only warns."""

    file: Path
    warnings: tuple[str, ...]


def pinned(spec: DataSpec, model: str, folder: Path, as_of: str, scratch: Path) -> Pinned | None:
    """Fetch and check the pin; None if the spec has none.

    Its age is judged on the day of ``as_of``, else today. Raises InputError if the file is missing, and if it
    does not match its SHA-256 or has expired where `on_violation` is `error`.
    """
    if spec.testset is None:
        return None
    file = scratch / "pinned.parquet"
    fetch(spec.testset.path, folder, file)
    today = (parse_as_of(as_of) if as_of else datetime.now(UTC)).date()
    violations = _violations(spec.testset, file, today)
    mend = f"`ostinato testset rotate {model}` pins a new one"
    if violations and spec.testset.on_violation == "error":
        raise InputError(f"{violations[0]}; {mend}")
    return Pinned(file, tuple(f"{violation}; {mend}" for violation in violations))


def _violations(pin: TestSet, file: Path, today: date) -> list[str]:
    problems = []
    digest = file_sha256(file)
    if digest != pin.sha256:
        problems.append(f"the test set {pin.path} has SHA-256 {digest}, but data.testset.sha256 is {pin.sha256}")
    expiry = pin.pinned_on + parse_duration(pin.rotate_every)
    if today > expiry:
        problems.append(f"the test set {pin.path} of {pin.pinned_on} expired on {expiry} ({pin.rotate_every})")
    return problems


def without_pinned(sides: Sides, spec: DataSpec, pin: Pinned) -> Sides:
    """The sides with the pinned rows in the test side's place.

    By time, train ends before the first pinned time less the embargo. By key, the pinned keys leave train;
    what the hash puts on the test side stays untrained too, so that it can be pinned later.
    """
    import polars as pl

    rows = pl.scan_parquet(pin.file)
    rule = spec.split
    with reading(f"the test set {pin.file.name}"):
        if rule.by == "time":
            first = rows.select(pl.col(spec.time or "").min().cast(pl.Datetime("us"))).collect().item()
            if first is None:
                raise InputError("the pinned test set holds no time, so nothing can be trained before it")
            end = first - parse_duration(rule.embargo) if rule.embargo else first
            train = pl.col(spec.time or "").cast(pl.Datetime("us")) < end
            return Sides(sides.test, train, f"time {spec.time}: pinned test set, trained before {end.isoformat()}")
        key = pl.col(spec.key) if spec.key else identity(spec).alias("key")
        strays = (
            rows.filter(~on_test_side(spec, rule.test)).select(key).unique().collect(engine="streaming").to_series()
        )
    train = sides.train & ~key.is_in(strays.implode()) if len(strays) else sides.train
    words = f"{keys(spec)}: pinned test set, its keys and {rule.test:.4g} of all left out"
    return Sides(sides.test, train, words, sides.mark)


def check_columns(pin: Pinned, schema: "pl.Schema", model: str) -> None:
    """Raise InputError unless the pinned rows have the columns and types that train has now."""
    import polars as pl

    with reading("the pinned test set"):
        problems = pl.scan_parquet(pin.file).collect_schema()
    for name in [*schema, *problems]:
        if problems.get(name) != schema.get(name):
            raise InputError(
                f"the pinned test set has {name!r} as {problems.get(name, 'no column')}, the training rows as "
                f"{schema.get(name, 'no column')}; `ostinato testset rotate {model}` pins a new one"
            )
