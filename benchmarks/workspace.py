"""A workspace for whole_run.py that can be put back to the state that an earlier run left."""

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from frameworks import ROOT
from measure import timed

from delivery.kserve.parse import parse

EARLIER = "2012-06-01"
"""The earlier run's rows end here."""
AS_OF = "2019-08-01"
"""New data: seven years more, so that the candidate beats the champion by far."""
MODEL = "demand-forecaster"
MANIFEST = f"main:models/{MODEL}/inferenceservice.yaml"


class Workspace:
    """``root`` is at one place for all sides: registry and manifests hold absolute paths."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.root, self.log = folder / "workspace", folder / "log"
        self._earlier = folder / "earlier"
        self.env = {**env, **_framework_places(folder), "OSTINATO_WORKSPACE": str(self.root), "BENCH_AS_OF": AS_OF}
        self._weights = ""

    def ostinato(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).with_name("ostinato")), *arguments]

    def set_up(self) -> None:
        """A model, and an earlier run that released its first version."""
        for name in ("training/demand_forecaster", "manifests"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        command = self.ostinato("run", "demand-forecaster", "--param", f"as_of={EARLIER}")
        timed(command, cwd=self.root, env=self.env, log=self.log)
        shutil.copytree(self.root / ".ostinato", self._earlier)

    def restore(self) -> None:
        """As the earlier run left it."""
        self.clear()
        shutil.copytree(self._earlier, self.root / ".ostinato")

    def check_released(self, version: str = "2") -> None:
        """Raises RuntimeError unless this version is live, with the weights that every side before made.

        Of the whole model folder the bytes differ: MLflow notes which setuptools is installed.
        """
        live = parse(self._git("show", MANIFEST).encode(), MODEL, "").served
        folder = live.storage_uri.removeprefix("file://")
        weights = hashlib.sha256(Path(folder, "model.skops").read_bytes()).hexdigest()
        self._weights = self._weights or weights
        if (live.version, weights) != (version, self._weights):
            raise RuntimeError(f"version {live.version}, weights {weights} are live, not {version}, {self._weights}")

    def check_version(self, version: str) -> None:
        """Raises RuntimeError unless this version is live."""
        found = parse(self._git("show", MANIFEST).encode(), MODEL, "").served.version
        if found != version:
            raise RuntimeError(f"version {found} is live, not {version}")

    def clear(self) -> None:
        """As on a new machine: no registry, no repository, no package."""
        shutil.rmtree(self.root / ".ostinato", ignore_errors=True)

    def state(self) -> tuple[str, tuple[str, ...]]:
        """All refs of the manifests repository, and all rows of the registry's database."""
        with sqlite3.connect(f"file:{self.root / '.ostinato' / 'mlflow.db'}?mode=ro", uri=True) as database:
            rows = tuple(database.iterdump())
        return self._git("for-each-ref"), rows

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root / ".ostinato" / "manifests.git"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _framework_places(folder: Path) -> dict[str, str]:
    """Where the frameworks keep their own state, and nobody is told of it."""
    places = {name: folder / name for name in ("metaflow", "dagster", "zenml")}
    for place in places.values():
        place.mkdir(parents=True)
    return {
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(places["metaflow"]),
        "METAFLOW_USER": "benchmark",
        "DAGSTER_HOME": str(places["dagster"]),
        "ZENML_CONFIG_PATH": str(places["zenml"]),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "KEDRO_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
