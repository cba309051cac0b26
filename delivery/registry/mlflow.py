from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.effects import effect
from delivery.registry.versions import registry_down, sqlite_file
from training.errors import OstinatoError

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXISTS, MISSING = "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"
_CONFLICT = re.compile(r"IntegrityError|UNIQUE constraint|duplicate key|Duplicate entry|database is locked")
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class RegistryRace(OstinatoError):
    """Another writer made the same thing at the same time: look again, and go on."""


@contextmanager
def registry_errors(tracking_uri: str, fine: str = "") -> Iterator[None]:
    """Turn errors of MLflow and of its stores into OstinatoError, and swallow the error code that is ``fine``."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        if not fine or getattr(error, "error_code", "") != fine:
            down = registry_down(tracking_uri, str(error)[:400])
            raise (RegistryRace(*down.args) if _CONFLICT.search(str(error)) else down) from error


def mlflow_client(tracking_uri: str) -> MlflowClient:
    """A client for the tracking URI, which also becomes MLflow's global one: its SQL store reads that itself.

    Makes the SQLite store on first use. Retries and time-outs are bounded, and there are no progress bars, unless the
    user has set that.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow

    file = sqlite_file(tracking_uri)
    with registry_errors(tracking_uri):
        if file and not file.exists():
            _make_store(file)
        mlflow.set_tracking_uri(tracking_uri)
        return mlflow.MlflowClient(tracking_uri, registry_uri=tracking_uri)


def _make_store(file: Path) -> None:
    """Make MLflow's database, beside its place and then linked there whole: its migrations don't survive a kill."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder:
        building = Path(folder, file.name)
        SqlAlchemyStore(f"sqlite:///{building}", (file.parent / "artifacts").as_uri())
        try:
            os.link(building, file)
        except FileExistsError:
            return
    effect("store created")
