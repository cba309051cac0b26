"""A submission as Vertex AI's PipelineJob, a PipelineJob as a run, and the one that goes on with it: a rerun, which the
beta of the interface has. Its steps that succeeded are skipped, and hand on what they made; all others run again."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from pipelines.backends.remote import ENDED, RemoteRun, State, StepState, Submission, in_order
from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError, OstinatoError

CONSOLE = "https://console.cloud.google.com"
NUMBER = "vertex-ai-pipelines-run-billing-id"
"""Label that Vertex AI gives each job: by its number a rerun names the job that it goes on with."""
POLICIES = {"slow": "PIPELINE_FAILURE_POLICY_FAIL_SLOW", "fast": "PIPELINE_FAILURE_POLICY_FAIL_FAST"}
RUN_STATES: dict[str, State] = {
    "RUNNING": "running",
    "PAUSED": "running",
    "CANCELLING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}
STEP_STATES: dict[str, State] = {
    "RUNNING": "running",
    "CANCEL_PENDING": "running",
    "CANCELLING": "running",
    "SUCCEEDED": "succeeded",
    "SKIPPED": "cached",
    "NOT_TRIGGERED": "skipped",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}


def job_of(submission: Submission, settings: VertexSettings) -> dict[str, Any]:
    """The PipelineJob, by the names of its fields."""
    job: dict[str, Any] = {
        "display_name": submission.run,
        "pipeline_spec": yaml.safe_load(submission.package.read_text(encoding="utf-8")),
        "labels": dict(submission.labels),
        "runtime_config": {
            "gcs_output_directory": settings.pipeline_root,
            "parameter_values": dict(submission.arguments),
            "failure_policy": POLICIES[settings.failure_policy],
        },
    }
    if settings.service_account:
        job["service_account"] = settings.service_account
    if settings.network:
        job["network"] = settings.network
    if settings.encryption_key:
        job["encryption_spec"] = {"kms_key_name": settings.encryption_key}
    return job


def run_of(job: Any, *, new: bool = False) -> RemoteRun:
    """A PipelineJob of either version of the interface."""
    _, project, _, region, _, run = job.name.split("/")
    state = RUN_STATES.get(_name(job.state, "PIPELINE_STATE_"), "pending")
    return RemoteRun(
        run=run,
        id=job.name,
        model=job.labels.get("model", ""),
        state=state,
        link=f"{CONSOLE}/vertex-ai/locations/{region}/pipelines/runs/{run}?project={project}",
        steps=steps_of(job, state, project),
        decision=_decision(job),
        message=job.error.message,
        created=job.create_time.isoformat() if job.create_time else "",
        new=new,
    )


def steps_of(job: Any, state: State, project: str) -> tuple[StepState, ...]:
    """Every step of the package, in an order that they can run in; a list's jobs say nothing of theirs."""
    tasks = job.pipeline_spec["root"]["dag"]["tasks"] if job.pipeline_spec else {}
    # Vertex AI keeps the details of a run as a whole beside those of its steps.
    details = {detail.task_name: detail for detail in job.job_detail.task_details if detail.task_name in tasks}
    unheard: State = "skipped" if state in ENDED else "pending"
    return tuple(
        _step(details[name], project) if name in details else StepState(name, unheard) for name in in_order(tasks)
    )


def _step(detail: Any, project: str) -> StepState:
    seconds = (detail.end_time - detail.start_time).total_seconds() if detail.end_time and detail.start_time else None
    return StepState(
        name=detail.task_name,
        state=STEP_STATES.get(_name(detail.state), "pending"),
        link=_link(detail.executor_detail, project),
        message=detail.error.message,
        seconds=seconds,
    )


def _link(executor: Any, project: str) -> str:
    """The page of the step's job, as google-cloud-aiplatform's utils/console_utils.py has it."""
    job = executor.container_detail.main_job or executor.custom_job_detail.job
    if not job:
        return ""
    _, _, _, region, _, number = job.split("/")
    return f"{CONSOLE}/agent-platform/locations/{region}/training/{number}?project={project}"


def _decision(job: Any) -> str:
    """What evaluate put out; a parameter of a step is kept as metadata of its execution."""
    for detail in job.job_detail.task_details:
        if detail.task_name == "evaluate":
            metadata: Mapping[str, Any] = detail.execution.metadata or {}
            decision = metadata.get("output:decision", "")
            if decision in ("pass", "reject"):
                return decision
            for verdict in getattr(detail.outputs.get("verdict"), "artifacts", ()):
                if (verdict.metadata or {}).get("decision") in ("pass", "reject"):
                    return verdict.metadata["decision"]
    return ""


def _name(state: Any, prefix: str = "") -> str:
    """Of a state; "" for one that is newer than the client."""
    return getattr(state, "name", "").removeprefix(prefix)


def rerun_id(run: str) -> str:
    """The id of the run that goes on with another: resuming twice gives one run."""
    earlier = re.fullmatch(r"(.+)-r(\d+)", run)
    return f"{earlier[1]}-r{int(earlier[2]) + 1}" if earlier else f"{run}-r1"


def rerun_of(old: Any) -> dict[str, Any]:
    """The PipelineJob that goes on with another.

    Raises InputError for one that runs or has succeeded, and OstinatoError for one that Vertex AI gave no number.
    """
    was = run_of(old)
    if was.state not in ENDED:
        raise InputError(f"run {was.run} is {was.state}; wait for its end, or cancel it: ostinato cancel {was.run}")
    if was.state == "succeeded":
        raise InputError(f"run {was.run} has succeeded; there is nothing to resume")
    number = old.labels.get(NUMBER, "")
    if not number.isdecimal():
        raise OstinatoError(f"run {was.run} has no label {NUMBER}, by which Vertex AI goes on with it; submit it anew")
    kept = ("pipeline_spec", "runtime_config", "service_account", "network", "encryption_spec")
    job: dict[str, Any] = {field: getattr(old, field) for field in kept if getattr(old, field)}
    return {
        **job,
        "display_name": rerun_id(was.run),
        "labels": {key: value for key, value in old.labels.items() if not key.startswith("vertex-ai-")},
        "original_pipeline_job_id": int(number),
        "pipeline_task_rerun_configs": [
            {
                "task_id": detail.task_id,
                "task_name": detail.task_unique_name,
                # As google-cloud-aiplatform's preview.PipelineJob.rerun: a cached step is answered by the cache again.
                "skip_task": detail.state.name == "SUCCEEDED",
            }
            for detail in old.job_detail.task_details
        ],
    }
