"""How a run and its steps went."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.backends.local.artifact import Outputs
from pipelines.backends.local.record import LOG
from training.errors import OstinatoError

Origin = Literal["", "run", "cache", "resume"]
"""Who made a step's outputs: this call, another run, an earlier call on this folder, or nobody yet."""


@dataclass
class StepRun:
    """How a step went."""

    status: Literal["waiting", "running", "succeeded", "failed"] = "waiting"
    origin: Origin = ""
    attempt: int = 0
    """Number of the attempt that made the outputs, or of the last one."""
    seconds: float = 0.0
    """Wall time of the last attempt; 0 if none was needed."""
    key: str = ""
    folder: Path | None = None
    """Attempt folder with outputs and log; it belongs to another run if the cache answered."""
    outputs: Outputs = field(default_factory=lambda: Outputs({}, {}))

    @property
    def log(self) -> Path | None:
        return self.folder / LOG if self.folder else None

    def to_json(self) -> dict[str, Any]:
        """A step in the run manifest."""
        artifacts = {
            name: {
                "type": artifact.type["schemaTitle"],
                "uri": artifact.uri,
                "digest": artifact.digest,
                "metadata": artifact.metadata,
            }
            for name, artifact in self.outputs.artifacts.items()
        }
        outputs = {"parameters": self.outputs.parameters, "artifacts": artifacts}
        return {**vars(self), "folder": str(self.folder or ""), "cached": self.origin == "cache", "outputs": outputs}


@dataclass
class RunResult:
    """A run that has ended, or as far as it came."""

    run_dir: Path
    seconds: float
    steps: dict[str, StepRun]

    def parameter(self, step: str, name: str) -> str:
        """An output of a step as text, "" where the run did not come so far."""
        return str(self.steps[step].outputs.parameters.get(name, "")) if step in self.steps else ""


class StepFailed(OstinatoError):
    """A step failed and has no attempt left."""

    def __init__(self, step: str, failure: Mapping[str, Any], log: Path, result: RunResult) -> None:
        self.step, self.log, self.result = step, log, result
        self.error: str = failure["error"]
        """Name of the exception's class."""
        self.message: str = failure["message"]
        """The error's own words."""
        self.exit_code = failure["exit_code"]
        super().__init__(f"step {step}: {self.message} (log: {log})")
