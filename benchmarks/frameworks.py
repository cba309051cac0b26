"""Environments of the frameworks that whole_run.py compares with: each in a virtual environment of its own.

Our dependencies have the lock's versions there, except where the framework can't live with them.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / "build" / "bench-envs"


DAGSTER = ("-m", "dagster", "job", "execute", "-f", "dagster_job.py", "-j", "continuous_training")


@dataclass(frozen=True)
class Framework:
    """What to install, and how to start its side in ``sides/``."""

    name: str
    requirement: str
    relaxed: Sequence[str]
    """Patterns of packages whose locked version it refuses; they get the version that it asks for."""
    command: Sequence[str]
    """After ``python``; paths are relative to ``sides/``."""
    note: str

    @property
    def title(self) -> str:
        """As it is named in the table."""
        return f"{self.requirement.replace('==', ' ')} ({self.note})"


FRAMEWORKS = {
    one.name: one
    for one in (
        Framework("metaflow", "metaflow==2.19.39", (), ("metaflow_flow.py", "run"), "a process a step, its default"),
        Framework("kedro", "kedro==1.7.0", (), ("kedro_nodes.py",), "SequentialRunner, one process, its default"),
        Framework("dagster", "dagster==1.13.28", ("watchdog",), DAGSTER, "a process a step, its default"),
        Framework(
            "zenml",
            "zenml[local]==0.98.0",
            (
                *("pydantic", "pydantic-core", "click", "google-api-core", "fastapi", "docker", "sqlalchemy"),
                *("alembic", "greenlet", "setuptools", "psutil", "opentelemetry-*"),
            ),
            ("zenml_pipeline.py",),
            "local orchestrator, one process, its default",
        ),
    )
}


class NotInstalled(Exception):
    """The framework does not install beside our dependencies; the message is the installer's reason."""


def environment(framework: Framework) -> Path:
    """The Python of the framework's environment, made on first use. Raises NotInstalled."""
    folder = ENVIRONMENTS / framework.requirement.replace("==", "-").replace("[local]", "")
    python, ready = folder / "bin" / "python", folder / ".ready"
    if ready.is_file():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    constraints = folder.with_name(f"{folder.name}.constraints")
    constraints.write_text("\n".join(locked_versions(framework.relaxed)) + "\n", encoding="utf-8")
    uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    uv(
        *("pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)),
        *("--constraints", str(constraints), "--editable", str(ROOT), framework.requirement),
    )
    ready.touch()
    return python


def locked_versions(without: Sequence[str]) -> list[str]:
    """The lines ``name==version`` of requirements.lock, less hashes and the packages that a pattern names."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.removesuffix("\\").strip() for line in lines if "==" in line and line[0].isalpha()]
    return [pin for pin in pins if not any(fnmatch(pin.partition("==")[0], pattern) for pattern in without)]


def uv(*arguments: str) -> None:
    links = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS", "")
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), *arguments],
        env={**os.environ, "UV_FIND_LINKS": links},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise NotInstalled(" ".join(done.stderr.replace(str(ROOT), ".").split())[:500])
