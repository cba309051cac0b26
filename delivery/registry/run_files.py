"""The artifacts of one MLflow run."""

import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from delivery.documents.document import Document
from delivery.registry.mlflow import registry_errors
from training.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

D = TypeVar("D", bound=Document)


class RunFiles:
    """They are read once. Every method raises OstinatoError if the registry can't be used."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self._read: dict[str, bytes | None] = {}

    def get(self, name: str) -> bytes | None:
        """Bytes of a file, None where there is none, or no run."""
        if name not in self._read:
            with registry_errors(self.client.tracking_uri):
                self._read[name] = self._fetch(name) if name in self._names else None
        return self._read[name]

    @cached_property
    def _names(self) -> set[str]:
        return {file.path for file in self.client.list_artifacts(self.run_id)} if self.run_id else set()

    def _fetch(self, name: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="ostinato-evidence-") as folder:
            return Path(self.client.download_artifacts(self.run_id, name, folder)).read_bytes()

    def document(self, kind: type[D], name: str) -> D:
        """A file as the document that it is. Raises InputError if it is not there or is none."""
        raw = self.get(name)
        if raw is None:
            raise InputError(f"the run has no {name}")
        return kind.parse_bytes(raw, name)

    def put(self, name: str, content: bytes) -> None:
        with registry_errors(self.client.tracking_uri), tempfile.TemporaryDirectory(prefix="ostinato-") as folder:
            path = Path(folder, name)
            path.write_bytes(content)
            self.client.log_artifact(self.run_id, str(path))
        self._read[name] = content
