"""python -m app --url http://127.0.0.1:8080 --model demand-forecaster rows.csv"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.client import MODEL_VARIABLE, TIMEOUT_S, URL_VARIABLE, DemandForecast
from app.errors import EndpointUnavailable, ForecastError
from app.rows import read_rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m app", description="Print a file's rows with their forecasts.")
    parser.add_argument("rows", type=Path, help="CSV file with a header line")
    parser.add_argument("--url", help=f"the endpoint; {URL_VARIABLE} unless given")
    parser.add_argument("--model", help=f"name of the model there; {MODEL_VARIABLE} unless given")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds for one answer")
    arguments = parser.parse_args()
    try:
        with DemandForecast(arguments.url, arguments.model, timeout_s=arguments.timeout) as endpoint:
            rows = read_rows(arguments.rows, endpoint.columns())
            forecasts = endpoint.forecast(rows)
    except ForecastError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, EndpointUnavailable) else 2
    table = Table(box=None)
    for name in (*rows[0], "forecast"):
        table.add_column(name, justify="right")
    for row, forecast in zip(rows, forecasts, strict=True):
        table.add_row(*("" if value is None else str(value) for value in row.values()), f"{forecast:,.1f}")
    width = None if sys.stdout.isatty() else 10_000  # a pipe gets whole lines
    Console(width=width, markup=False, highlight=False).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
