"""Reading a BigQuery table, by the optional extra ``bigquery``. Not exercised by the tests: it needs the service."""

from pathlib import Path
from typing import Any

from training.errors import InputError


def table_version(table: str) -> str:
    """When the table last changed, and its row count: `modified:<ISO time>/<rows>`."""
    properties = _client(table).get_table(table)
    return f"modified:{properties.modified.isoformat()}/{properties.num_rows}"


def fetch_table(table: str, target: Path) -> None:
    """Write the rows of `project.dataset.table` to a Parquet file, a record batch at a time."""
    import pyarrow.parquet as pq

    batches = _client(table).list_rows(table).to_arrow_iterable()
    first = next(batches, None)
    if first is None:
        raise InputError(f"bigquery://{table} holds no rows")
    with pq.ParquetWriter(target, first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def _client(table: str) -> Any:
    if table.count(".") != 2:
        raise InputError(f"bigquery://{table}: write bigquery://project.dataset.table")
    try:
        from google.cloud import bigquery  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
    except ImportError as error:
        raise InputError(f"bigquery://{table} needs the extra 'bigquery': pip install 'ostinato[bigquery]'") from error
    return bigquery.Client(project=table.split(".")[0])
