"""The data card: what is in the folder, told from the files themselves."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.documents.data_card import TEST_FILE, TRAIN_FILE, CardPart, ColumnCard, DataCard
from delivery.stores.sources import file_sha256
from training.errors import InputError
from training.spec import ConversationSpec, DataSpec

if TYPE_CHECKING:
    import polars as pl

MESSAGES = "messages"


def describe(folder: Path, spec: DataSpec | ConversationSpec, **known: Any) -> DataCard:
    """The card of train.parquet and test.parquet; ``known`` are the fields that the files do not tell.

    Of conversations `messages` is the target, since the answers are in it.

    The fingerprint is the SHA-256 of the text ``train.parquet <sha256>\\ntest.parquet <sha256>\\n``. Raises
    InputError if a side is empty.
    """
    import polars as pl

    files = [folder / TRAIN_FILE, folder / TEST_FILE]
    with ThreadPoolExecutor(len(files)) as beside:
        digests = list(beside.map(file_sha256, files))
    time = spec.time if isinstance(spec, DataSpec) else None
    facts = [_facts(file, time) for file in files]
    for file, fact in zip(files, facts, strict=True):
        if not fact["rows"]:
            raise InputError(f"the {file.stem} side has no rows; data.split ({known['split']}) does not fit the data")
    lines = "".join(f"{file.name} {digest}\n" for file, digest in zip(files, digests, strict=True))
    nulls = {name: sum(fact["nulls"][name] for fact in facts) for name in facts[0]["nulls"]}
    train, test = (
        CardPart(rows=fact["rows"], sha256=digest, time_from=fact["first"], time_to=fact["last"])
        for fact, digest in zip(facts, digests, strict=True)
    )
    return DataCard(
        fingerprint="sha256:" + hashlib.sha256(lines.encode()).hexdigest(),
        columns=_columns(pl.read_parquet_schema(files[0]), nulls, spec),
        train=train,
        test=test,
        **known,
    )


def _facts(file: Path, time: str | None) -> dict[str, Any]:
    """Row count, first and last time, and nulls by column."""
    import polars as pl

    span = pl.col(time).cast(pl.Datetime("us")) if time else pl.lit(None, pl.Datetime("us"))
    measured = pl.scan_parquet(file).select(rows=pl.len(), first=span.min(), last=span.max())
    return measured.collect(engine="streaming").row(0, named=True) | {"nulls": _nulls(file)}


def _nulls(file: Path) -> dict[str, int]:
    """Nulls by column: from the file's footer, or by counting where it has them for the leaves of a nested column only,
    or a writer left them out of it."""
    import polars as pl
    import pyarrow.parquet as pq

    footer = pq.read_metadata(file)
    chunks = [
        footer.row_group(group).column(i) for group in range(footer.num_row_groups) for i in range(footer.num_columns)
    ]
    schema = pl.read_parquet_schema(file)
    nested = any(dtype.is_nested() for dtype in schema.values())
    if nested or not all(chunk.statistics is not None and chunk.statistics.has_null_count for chunk in chunks):
        return pl.scan_parquet(file).null_count().collect(engine="streaming").row(0, named=True)
    nulls = dict.fromkeys(schema, 0)
    for chunk in chunks:
        nulls[chunk.path_in_schema] += chunk.statistics.null_count
    return nulls


def _columns(
    schema: "dict[str, pl.DataType]", nulls: dict[str, int], spec: DataSpec | ConversationSpec
) -> tuple[ColumnCard, ...]:
    if isinstance(spec, DataSpec):
        roles = {spec.key: "key", spec.time: "time", spec.target: "target"}
        units = {name: column.unit for name, column in spec.columns.items()}
    else:
        roles, units = {spec.key: "key", MESSAGES: "target"}, {}
    return tuple(
        ColumnCard.model_validate(
            {
                "name": name,
                "dtype": str(dtype),
                "role": roles.get(name, "input"),
                "unit": units.get(name, ""),
                "nulls": nulls[name],
            }
        )
        for name, dtype in schema.items()
    )
