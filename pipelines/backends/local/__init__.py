"""The local backend: a small engine that runs the compiled package on this machine. Linux and macOS."""

from pipelines.backends.local.artifact import Artifact, Outputs
from pipelines.backends.local.engine import run_package
from pipelines.backends.local.ir import load_package
from pipelines.backends.local.record import Event
from pipelines.backends.local.result import RunResult, StepFailed, StepRun

__all__ = ["Artifact", "Event", "Outputs", "RunResult", "StepFailed", "StepRun", "load_package", "run_package"]
