"""`ostinato serve` and `ostinato predict`: on this machine what the cluster runs, and rows in, predictions out."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.champion.steps import fetch_champion, fetch_model
from components.register.lookup import registry
from components.serving.client import ServedModel
from pipelines.settings import Places
from training.errors import InputError
from training.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd


def serve_model(places: Places, spec: ModelSpec, version: str | None, port: int) -> int:
    """Serve what git says is live, or a version of the registry, until Ctrl-C; returns the server's exit code.

    The files come from the storage URI that the manifest (or the registry) names, and their digest is compared
    first. Raises InputError if nothing is live or the version does not exist, OstinatoError if the files differ.
    """
    with tempfile.TemporaryDirectory(prefix="ostinato-serve-") as scratch:
        folder = Path(scratch) / "model"
        if version is None:
            live = fetch_champion(spec.name, places.manifests_remote, folder)
            if live is None:
                raise InputError(f"{spec.name} is not live yet; release it with: ostinato run {spec.name}")
            version = live.version
        else:
            reader = registry(places.tracking_uri)
            found = reader.version(spec.registered_name, version)
            if found is None:
                known = ", ".join(one.version for one in reader.versions(spec.registered_name)) or "none"
                raise InputError(f"--version {version}: {spec.registered_name} has versions {known}")
            folder.mkdir()
            fetch_model(spec.name, version, reader.storage_uri(found.name, version), found.digest, folder)
        print(
            f"{spec.name} version {version} on http://127.0.0.1:{port}\n{curl_line(folder, spec.name, port)}",
            flush=True,
        )
        options = ["--model_dir", str(folder), "--model_name", spec.name, "--http_port", str(port)]
        command = [sys.executable, "-m", "components.serving.server", *options]
        with subprocess.Popen(command) as server:
            try:
                return server.wait()
            except KeyboardInterrupt:
                server.terminate()
                server.wait()
                return 0


def curl_line(folder: Path, name: str, port: int) -> str:
    """A command that asks for the first row of the model's own input example."""
    from components.serving.signature import example_rows

    rows = example_rows(folder)
    url = f"http://127.0.0.1:{port}/v2/models/{name}"
    if rows is None:
        return f"curl {url}"
    first = {str(column): plain(rows[column].iloc[0]) for column in rows}
    inputs = [{"name": key, "shape": [1], "datatype": datatype(value), "data": [value]} for key, value in first.items()]
    return f"curl -s {url}/infer -H 'content-type: application/json' -d '{json.dumps({'inputs': inputs})}'"


def datatype(value: Any) -> str:
    """Open Inference Protocol's name for the type of a plain value."""
    kinds: dict[type, str] = {bool: "BOOL", int: "INT64", float: "FP64"}
    return kinds.get(type(value), "BYTES")


def plain(value: Any) -> Any:
    """A NumPy scalar as Python's own."""
    return value.item() if hasattr(value, "item") else value


def predict_rows(url: str, spec: ModelSpec, file: Path) -> "pd.DataFrame":
    """The file's rows with a column ``prediction``. Raises InputError for a file that can't be read or lacks a column,
    OstinatoError if the server does not answer or refuses."""
    rows = read_rows(file)
    return rows.assign(prediction=ServedModel(url, spec.name).infer(rows))


def read_rows(file: Path) -> "pd.DataFrame":
    """Rows of a CSV file with a header, a JSON list of objects, or a Parquet file."""
    import pandas as pd

    readers = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}
    if file.suffix not in readers:
        raise InputError(f"{str(file)!r}: only .csv, .json and .parquet are read")
    try:
        rows = readers[file.suffix](file)
    except FileNotFoundError as error:
        raise InputError(f"{str(file)!r} does not exist") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{str(file)!r} is not readable as {file.suffix[1:]}: {error}") from error
    if rows.empty:
        raise InputError(f"{str(file)!r} has no rows")
    return rows
