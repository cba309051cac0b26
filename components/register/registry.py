"""Writing to the model registry, through MLflow's client; every write is looked up before it is made."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.effects import effect
from components.register.lookup import registry, registry_down, sqlite_file
from training.errors import OstinatoError

if TYPE_CHECKING:
    from mlflow import MlflowClient

ATTEMPTS = 5
"""How often a write is tried when other writers make the same thing."""
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


def mlflow_client(tracking_uri: str) -> "MlflowClient":
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


def artifact_root(tracking_uri: str) -> Path | None:
    """Where artifacts go beside a SQLite store; None on a server, which decides itself."""
    file = sqlite_file(tracking_uri)
    return file.parent / "artifacts" if file else None


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


def ensure_registered_model(client: "MlflowClient", tracking_uri: str, name: str, description: str) -> None:
    """Make the registered model unless it exists."""
    with registry_errors(tracking_uri, fine=MISSING):
        client.get_registered_model(name)
        return
    with registry_errors(tracking_uri, fine=EXISTS):
        client.create_registered_model(name, description=description)
        effect("registered model created")


def move_alias(tracking_uri: str, name: str, alias: str, version: str, *, prompt: bool = False) -> None:
    """Point an alias of a model (or of a prompt) at a version, or remove it if the version is "".

    MLflow's SQL store fails, rather than overwrites, when two writers set a new alias at once: then the alias is
    read again, and set again unless it is right. Raises OstinatoError if the registry can't be used.
    """
    client = mlflow_client(tracking_uri)
    for left in reversed(range(ATTEMPTS)):
        try:
            with registry_errors(tracking_uri):
                if prompt and version:
                    client.set_prompt_alias(name, alias, int(version))
                elif prompt:
                    client.delete_prompt_alias(name, alias)
                elif version:
                    client.set_registered_model_alias(name, alias, version)
                else:
                    client.delete_registered_model_alias(name, alias)
            return
        except RegistryRace:
            if registry(tracking_uri).aliases(name).get(alias, "") == version:
                return
            if not left:
                raise


def set_version_tag(tracking_uri: str, name: str, version: str, key: str, value: str) -> None:
    """Give a version a tag, or take it away if the value is "". Raises OstinatoError if the registry can't be used."""
    client = mlflow_client(tracking_uri)
    if value:
        with registry_errors(tracking_uri):
            client.set_model_version_tag(name, version, key, value)
    else:
        with registry_errors(tracking_uri, fine=MISSING):
            client.delete_model_version_tag(name, version, key)
