"""Reading MLflow's registry tables in a SQLite file; read only, unless a killed writer left a transaction behind."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from delivery.registry.versions import DEFAULT_EXPERIMENT, DIGEST_TAG, ModelVersion, registry_down, sqlite_file
from training.errors import OstinatoError

BUSY_S = 10.0
_LEFT_BEHIND = (sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY)
"""A writer was killed in a transaction, and who may write the file rolls it back by reading it."""
_VERSIONS = (
    "SELECT version, source, run_id, creation_time FROM model_versions v"
    " WHERE name = :name AND current_stage <> 'Deleted_Internal'"
)
_ONE = " AND version = :version"
_WITH_DIGEST = (
    " AND EXISTS (SELECT 1 FROM model_version_tags t WHERE t.name = v.name AND t.version = v.version"
    f" AND t.key = '{DIGEST_TAG}' AND t.value = :digest)"
)
_TAGS = "SELECT key, value FROM model_version_tags WHERE name = :name AND version = :version"
_ALIASES = "SELECT alias, version FROM registered_model_aliases WHERE name = :name"
_STORAGE = "SELECT coalesce(storage_location, source) FROM model_versions WHERE name = :name AND version = :version"

_ROOT = "SELECT artifact_location FROM experiments WHERE experiment_id = :experiment"


class SqliteRegistry:
    """See :class:`delivery.registry.lookup.Registry`. A file that does not exist yet is an empty registry."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        file = sqlite_file(tracking_uri)
        assert file
        self.file = file

    @contextmanager
    def _open(self, mode: str) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self.file.as_uri()}?mode={mode}", uri=True, timeout=BUSY_S)) as connection:
            yield connection

    def _select(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        if not self.file.exists():
            return []
        try:
            try:
                with self._open("ro") as connection:
                    return connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in _LEFT_BEHIND:
                    raise
            with self._open("rw") as connection:
                return connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise registry_down(self.tracking_uri, error) from error

    def aliases(self, name: str) -> dict[str, str]:
        return {alias: str(version) for alias, version in self._select(_ALIASES, name=name)}

    def version(self, name: str, version: str) -> ModelVersion | None:
        versions = self._versions(name, _ONE, version=int(version) if version.isdecimal() else -1)
        return versions[0] if versions else None

    def versions(self, name: str, digest: str = "") -> list[ModelVersion]:
        return self._versions(name, _WITH_DIGEST, digest=digest) if digest else self._versions(name, "")

    def prompts(self, name: str) -> list[ModelVersion]:
        return self._versions(name, "")

    def _versions(self, name: str, condition: str, **values: Any) -> list[ModelVersion]:
        rows = self._select(f"{_VERSIONS}{condition} ORDER BY version", name=name, **values)
        return [
            ModelVersion(
                name, str(version), source, run_id or "", dict(self._select(_TAGS, name=name, version=version)), created
            )
            for version, source, run_id, created in rows
        ]

    def storage_uri(self, name: str, version: str) -> str:
        rows = self._select(_STORAGE, name=name, version=int(version))
        if not rows:
            raise OstinatoError(f"version {version} of {name} is gone from the registry {self.tracking_uri}")
        return rows[0][0]

    def artifact_root(self) -> str:
        rows = self._select(_ROOT, experiment=int(DEFAULT_EXPERIMENT))
        return rows[0][0] or "" if rows else ""
