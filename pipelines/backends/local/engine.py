"""Runs a compiled package on this machine: ready steps at once, each in a child process, cached and resumable."""

import contextlib
import hashlib
import importlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.backends.local.artifact import Outputs
from pipelines.backends.local.cache import lookup, recall, remember, task_key
from pipelines.backends.local.child import DEFAULT_START, Child, StartMethod, held_signals, stop
from pipelines.backends.local.guard import MANIFEST, kfp_runtime, run_folder, step_environment, stoppable
from pipelines.backends.local.inputs import check_arguments, input_values, make_job
from pipelines.backends.local.ir import Package, Task, parse_package
from pipelines.backends.local.record import Event, Journal, Kind, disk_full, now, write_json
from pipelines.backends.local.result import Origin, RunResult, StepFailed, StepRun
from pipelines.backends.local.step import Job
from training.errors import OstinatoError

_SUCCESS: Mapping[Origin, Kind] = {"run": "step succeeded", "cache": "step cached", "resume": "step resumed"}


def run_package(
    ir: Mapping[str, Any],
    *,
    arguments: Mapping[str, Any],
    run_dir: Path,
    cache_dir: Path | None,
    environment: str = "",
    preload: Mapping[str, Sequence[str]] | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    resume: bool = False,
    start_method: StartMethod = DEFAULT_START,
) -> RunResult:
    """Run every step of a package and return all outputs.

    ir: the package as kfp compiled it; see ``load_package``. arguments: values of the pipeline's parameters.
    run_dir: a new folder for all that the run writes, or with ``resume`` that of an unfinished run, whose finished
    steps are kept where code and inputs are still the same. cache_dir: shared by runs; None for no cache.
    environment: what else decides results, such as library versions; part of every cache key.
    preload: all heavy libraries by step, imported here while other steps run, so that the step's child need not. Name
    large parts of a library before the whole: a step that ends meanwhile waits for the import under way.
    on_event: called in this thread. start_method: ``spawn`` where fork is unsafe; slower, and nothing is preloaded.

    Outputs that come from the cache are used where they are: treat them as read-only.
    Raises, before anything runs, InputError for a package, an argument or a folder that will not do; StepFailed when
    a step has failed (running steps end first, no new one starts); OstinatoError when the disk is full. After Ctrl-C
    or SIGTERM the children are stopped, and KeyboardInterrupt or SystemExit passes on.
    """
    package = parse_package(ir)
    run = _Run(
        package=package,
        arguments=check_arguments(package, arguments),
        run_dir=run_dir.absolute(),
        cache=cache_dir.absolute() if cache_dir else None,
        environment=environment,
        preload=(preload or {}) if start_method == "fork" else {},
        journal=Journal(run_dir.absolute() / "events.jsonl", on_event),
        method=start_method,
        digest="sha256:" + hashlib.sha256(json.dumps(ir, sort_keys=True).encode()).hexdigest(),
    )
    try:
        with run_folder(run.run_dir, resume), stoppable(), step_environment():
            return run.execute()
    except OSError as error:
        if not disk_full(error):
            raise
        raise OstinatoError(f"no room left to write in {run_dir}: {error}; free some space, then resume") from error


@dataclass
class _Run:
    """One call of run_package."""

    package: Package
    arguments: Mapping[str, Any]
    run_dir: Path
    cache: Path | None
    environment: str
    preload: Mapping[str, Sequence[str]]
    journal: Journal
    method: StartMethod
    digest: str

    def __post_init__(self) -> None:
        self.status, self.started, self.began = "running", now(), time.monotonic()
        self.steps = {name: StepRun() for name in self.package.tasks}
        self.waiting = dict(self.package.tasks)
        self.missed: dict[str, Callable[[Path], Job]] = {}
        """Steps whose inputs exist and that no earlier result answers; called with an attempt folder."""
        self.running: dict[str, Child] = {}
        self.tries = dict.fromkeys(self.steps, 0)
        self.not_before = dict.fromkeys(self.steps, 0.0)
        self.imported: set[str] = set()
        self.failure: tuple[str, Mapping[str, Any]] | None = None
        self.parallel = max(2, os.cpu_count() or 1)

    def execute(self) -> RunResult:
        self.write_manifest()
        self.journal.add("run started", detail=str(self.run_dir))
        try:
            with kfp_runtime() if self.method == "fork" else contextlib.nullcontext():
                self.loop()
            self.status = "failed" if self.failure else "succeeded"
        except (KeyboardInterrupt, SystemExit):
            self.status = "interrupted"
            raise
        finally:
            stop(list(self.running.values()))
            self.status = "failed" if self.status == "running" else self.status
            self.write_manifest(ended=now())
            self.journal.add("run ended", detail=self.status, seconds=round(time.monotonic() - self.began, 3))
        result = RunResult(self.run_dir, time.monotonic() - self.began, self.steps)
        if self.failure:
            step, failure = self.failure
            raise StepFailed(step, failure, self.steps[step].log or self.run_dir, result)
        return result

    def loop(self) -> None:
        idle = time.monotonic()
        while self.waiting or self.running:
            if self.collect() or self.advance() or self.import_one():
                idle = time.monotonic()
            else:
                # A fiftieth of the time waited so far: an end is seen 2 % late at most, and a long wait costs nothing.
                time.sleep(min(0.05, max(0.001, (time.monotonic() - idle) / 50)))

    def advance(self) -> bool:
        """Answer or start one waiting step; whether there was one."""
        succeeded = {name for name, step in self.steps.items() if step.status == "succeeded"}
        for task in [task for task in self.waiting.values() if task.upstream <= succeeded]:
            if task.name not in self.missed and self.answer(task):
                return True
            if len(self.running) < self.parallel and time.monotonic() >= self.not_before[task.name]:
                self.start(task)
                return True
        return False

    def answer(self, task: Task) -> bool:
        """Finish a step with the outputs of an earlier attempt, if there is one."""
        outputs = {name: step.outputs for name, step in self.steps.items()}
        parameters = input_values(task, self.arguments, outputs, self.run_dir.name)
        artifacts = {name: outputs[origin.step].artifacts[origin.name] for name, origin in task.artifacts.items()}
        key = self.steps[task.name].key = task_key(task, parameters, artifacts, self.environment)
        for folder in reversed(_attempts(self.run_dir / task.name)):
            earlier = recall(folder, key)
            if isinstance(earlier, Outputs):
                self.succeed(task, folder, earlier, "resume")
                return True
        if task.cached and self.cache:
            cached = lookup(self.cache, key)
            if not isinstance(cached, str):
                self.succeed(task, *cached, "cache")
                return True
            self.journal.add("cache missed", step=task.name, key=key, detail=cached)
        self.missed[task.name] = partial(make_job, task, key, parameters, artifacts)
        return False

    def start(self, task: Task) -> None:
        step, attempts = self.steps[task.name], _attempts(self.run_dir / task.name)
        step.attempt = _number(attempts[-1]) + 1 if attempts else 1
        step.folder = self.run_dir / task.name / f"attempt-{step.attempt}"
        step.status, step.origin = "running", "run"
        with held_signals():
            self.running[task.name] = Child(self.missed[task.name](step.folder), self.method)
        del self.waiting[task.name]
        self.tries[task.name] += 1
        self.write_manifest()
        self.journal.add("step started", step=task.name, attempt=step.attempt, key=step.key)

    def collect(self) -> bool:
        """Take in the children that have ended; whether any has."""
        ended = [name for name, child in self.running.items() if child.ended()]
        for name in ended:
            child, step = self.running.pop(name), self.steps[name]
            result = child.outcome()
            step.seconds = round(result.get("ended", time.monotonic()) - child.started, 3)
            if result["status"] == "succeeded":
                outputs = Outputs.from_json(result["outputs"])
                self.succeed(self.package.tasks[name], Path(child.job.folder), outputs, "run")
            else:
                self.fail(self.package.tasks[name], result)
        return bool(ended)

    def succeed(self, task: Task, folder: Path, outputs: Outputs, origin: Origin) -> None:
        step = self.steps[task.name]
        step.status, step.folder, step.outputs, step.origin = "succeeded", folder, outputs, origin
        step.attempt = _number(folder)
        self.waiting.pop(task.name, None)
        if task.cached and self.cache and origin != "cache":
            remember(self.cache, step.key, folder)
        self.write_manifest()
        fields = {"attempt": step.attempt, "seconds": step.seconds, "key": step.key, "detail": str(folder)}
        self.journal.add(_SUCCESS[origin], step=task.name, **fields)

    def fail(self, task: Task, failure: Mapping[str, Any]) -> None:
        """Try again where the step's retry policy and the kind of error allow it, else start nothing more."""
        step, tries = self.steps[task.name], self.tries[task.name]
        again = failure["exit_code"] == 1 and tries <= task.retry.most and not self.failure
        step.status = "waiting" if again else "failed"
        if again:
            self.not_before[task.name] = time.monotonic() + task.retry.wait(tries)
            self.waiting[task.name] = task
        else:
            self.failure = self.failure or (task.name, failure)
            self.waiting.clear()
        self.write_manifest()
        kind: Kind = "step retried" if again else "step failed"
        fields = {"attempt": step.attempt, "seconds": step.seconds, "key": step.key, "detail": failure["message"]}
        self.journal.add(kind, step=task.name, **fields)

    def import_one(self) -> bool:
        """Import one module for a waiting step while others run; whether there was one.

        A step that is ready never waits for its imports: it makes the rest of them itself, while this process goes on
        with those of the steps after it. On two cores that is faster than importing one after the other.
        """
        if not self.running or not any(self.package.tasks[name].cached for name in self.missed):
            return False  # so far nothing is new, and then no step may need its modules
        modules = [module for name in self.waiting for module in self.preload.get(name, ())]
        module = next((module for module in modules if module not in self.imported), None)
        if module is None:
            return False
        self.imported.add(module)
        began = time.monotonic()
        try:
            importlib.import_module(module)
        except ImportError as error:
            self.journal.add("module missing", detail=f"{module}: {error}")
        else:
            self.journal.add("module preloaded", detail=module, seconds=round(time.monotonic() - began, 3))
        return True

    def write_manifest(self, ended: str = "") -> None:
        head = {
            "pipeline": self.package.name,
            "ir": self.digest,
            "arguments": self.arguments,
            "environment": self.environment,
            "status": self.status,
            "started": self.started,
            "ended": ended,
        }
        steps = {name: step.to_json() for name, step in self.steps.items()}
        write_json(self.run_dir / MANIFEST, {**head, "steps": steps})


def _attempts(folder: Path) -> list[Path]:
    """Attempt folders of a step, first to last."""
    return sorted(folder.glob("attempt-*"), key=_number)


def _number(attempt: Path) -> int:
    return int(attempt.name.removeprefix("attempt-"))
