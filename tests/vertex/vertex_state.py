"""Jobs and schedules as Vertex AI keeps them, in its own message types."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud import aiplatform_v1, aiplatform_v1beta1
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from kfp.pipeline_spec import pipeline_spec_pb2

PARENT = r"projects/[^/]+/locations/[^/]+"
START = datetime(2026, 3, 2, 3, tzinfo=UTC)
NUMBER = "vertex-ai-pipelines-run-billing-id"
VERSIONS = {"v1": aiplatform_v1, "v1beta1": aiplatform_v1beta1}


class Refused(Exception):
    """broken: a client that keeps to the contract never gets this."""

    def __init__(self, status: int, message: str, broken: bool = False) -> None:
        super().__init__(message)
        self.status, self.broken = status, broken


@dataclass(frozen=True)
class Route:
    """method and path of the REST interface, the request's type, the field that is the path, and the body's."""

    method: str
    path: str
    request: str
    named: str
    body: str = ""


ROUTES = (
    Route("POST", rf"({PARENT})/pipelineJobs", "CreatePipelineJobRequest", "parent", "pipelineJob"),
    Route("GET", rf"({PARENT})/pipelineJobs", "ListPipelineJobsRequest", "parent"),
    Route("GET", rf"({PARENT}/pipelineJobs/[^/:]+)", "GetPipelineJobRequest", "name"),
    Route("POST", rf"({PARENT}/pipelineJobs/[^/:]+):cancel", "CancelPipelineJobRequest", "name", "*"),
    Route("POST", rf"({PARENT})/schedules", "CreateScheduleRequest", "parent", "schedule"),
    Route("GET", rf"({PARENT})/schedules", "ListSchedulesRequest", "parent"),
    Route("PATCH", rf"({PARENT}/schedules/[^/:]+)", "UpdateScheduleRequest", "", "schedule"),
    Route("DELETE", rf"({PARENT}/schedules/[^/:]+)", "DeleteScheduleRequest", "name"),
    Route("POST", rf"({PARENT}/schedules/[^/:]+):resume", "ResumeScheduleRequest", "name", "*"),
)


@dataclass
class State:
    """page: how many entries a list gives at once."""

    jobs: dict[str, Any] = field(default_factory=dict)
    schedules: dict[str, Any] = field(default_factory=dict)
    page: int = 2
    made: int = 0

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """Raises Refused."""
        version, _, rest = path.lstrip("/").partition("/")
        for route in ROUTES:
            found = re.fullmatch(route.path, rest)
            if route.method == method and found and version in VERSIONS:
                request = self._read(version, route, found[1], query, body)
                given = getattr(self, "_" + re.sub(r"Request$", "", route.request))(request, found[1])
                return self._told(given, version)
        raise Refused(404, f"no method {method} {path}", broken=True)

    def _read(self, version: str, route: Route, name: str, query: dict[str, str], body: dict[str, Any]) -> Any:
        message = getattr(VERSIONS[version], route.request).pb()()
        given: dict[str, Any] = dict(query)
        if route.named:
            given[route.named] = name
        given |= body if route.body == "*" else {route.body: body} if route.body else {}
        try:
            ParseDict(given, message)
        except ParseError as error:
            raise Refused(400, f"{route.request}: {error}", broken=True) from error
        if route.request == "CreatePipelineJobRequest":
            check_job(message.pipeline_job, message.pipeline_job_id)
        return message

    def _told(self, given: Any, version: str) -> dict[str, Any]:
        answer = MessageToDict(given) if not isinstance(given, dict) else given
        if version == "v1" and given.__class__.__name__ == "PipelineJob":
            older = ParseDict(answer, aiplatform_v1.PipelineJob.pb()(), ignore_unknown_fields=True)
            return MessageToDict(older)
        return answer

    def _next(self) -> datetime:
        self.made += 1
        return START + timedelta(minutes=self.made)

    def _CreatePipelineJob(self, request: Any, parent: str) -> Any:
        name = f"{parent}/pipelineJobs/{request.pipeline_job_id}"
        if name in self.jobs:
            raise Refused(409, f"{name} already exists")
        job = ParseDict(MessageToDict(request.pipeline_job), aiplatform_v1beta1.PipelineJob.pb()())
        job.name, job.state = name, aiplatform_v1beta1.PipelineState.PIPELINE_STATE_PENDING
        job.create_time.FromDatetime(self._next())
        job.labels[NUMBER] = str(7_000 + self.made)
        self._rerun(job)
        self.jobs[name] = job
        return job

    def _rerun(self, job: Any) -> None:
        """Take over the steps that the original run had done."""
        if not job.original_pipeline_job_id:
            return
        (old,) = [one for one in self.jobs.values() if one.labels[NUMBER] == str(job.original_pipeline_job_id)]
        by_id = {one.task_id: one for one in old.job_detail.task_details}
        for config in job.pipeline_task_rerun_configs:
            task = by_id[config.task_id]
            if config.task_name != task.task_unique_name:
                raise Refused(400, f"task {config.task_id} is not {config.task_name}", broken=True)
            if config.skip_task:
                job.job_detail.task_details.add().CopyFrom(task)

    def _GetPipelineJob(self, request: Any, name: str) -> Any:
        return self._of(self.jobs, name)

    def _CancelPipelineJob(self, request: Any, name: str) -> Any:
        job = self._of(self.jobs, name)
        if job.end_time.seconds:
            raise Refused(400, "the job has ended")
        job.state = aiplatform_v1beta1.PipelineState.PIPELINE_STATE_CANCELLED
        job.end_time.FromDatetime(self._next())
        return {}

    def _ListPipelineJobs(self, request: Any, parent: str) -> Any:
        wanted = re.fullmatch(r'labels\.part-of="(\w+)" AND create_time>="([^"]+)"', request.filter)
        if not wanted or request.order_by != "create_time desc":
            raise Refused(400, f"filter {request.filter!r}, order {request.order_by!r}", broken=True)
        since = datetime.fromisoformat(wanted[2])
        found = [
            job for name, job in self.jobs.items()
            if name.startswith(parent + "/") and job.labels["part-of"] == wanted[1]
            and job.create_time.ToDatetime(UTC) >= since
        ]  # fmt: skip
        found.sort(key=lambda job: -job.create_time.seconds)
        rows = []
        for job in found:
            row = job.__class__()
            request.read_mask.MergeMessage(job, row)
            rows.append(self._told(row, "v1"))
        return self._paged("pipelineJobs", rows, request.page_token)

    def _paged(self, key: str, rows: list[Any], token: str) -> dict[str, Any]:
        start = int(token or 0)
        after = {"nextPageToken": str(start + self.page)} if start + self.page < len(rows) else {}
        return {key: rows[start : start + self.page], **after}

    def _CreateSchedule(self, request: Any, parent: str) -> Any:
        schedule = request.schedule
        check_schedule(schedule)
        moment = self._next()
        schedule.name = f"{parent}/schedules/{4_000_000_000 + self.made}"
        schedule.state = aiplatform_v1.Schedule.State.ACTIVE
        schedule.create_time.FromDatetime(moment)
        self.schedules[schedule.name] = schedule
        return schedule

    def _ListSchedules(self, request: Any, parent: str) -> Any:
        if request.filter != "create_pipeline_job_request:*" or request.order_by != "create_time":
            raise Refused(400, f"filter {request.filter!r}, order {request.order_by!r}", broken=True)
        rows = [MessageToDict(one) for name, one in self.schedules.items() if name.startswith(parent + "/")]
        return self._paged("schedules", rows, request.page_token)

    def _UpdateSchedule(self, request: Any, name: str) -> Any:
        there = self._of(self.schedules, name)
        check_schedule(request.schedule)
        for path in request.update_mask.paths:
            value = getattr(request.schedule, path)
            if isinstance(value, str):
                setattr(there, path, value)
            else:
                getattr(there, path).CopyFrom(value)
        return there

    def _DeleteSchedule(self, request: Any, name: str) -> Any:
        self._of(self.schedules, name)
        del self.schedules[name]
        return {"name": name.rpartition("/schedules/")[0] + "/operations/1", "done": True}

    def _ResumeSchedule(self, request: Any, name: str) -> Any:
        there = self._of(self.schedules, name)
        if there.state != aiplatform_v1.Schedule.State.PAUSED:
            raise Refused(400, "the schedule is not paused")
        there.state = aiplatform_v1.Schedule.State.ACTIVE
        return {}

    def _of(self, kept: dict[str, Any], name: str) -> Any:
        if name not in kept:
            raise Refused(404, f"{name} is not found")
        return kept[name]

    def walk(self, run: str, state: str, steps: dict[str, str], message: str = "", **put_out: str) -> None:
        """Bring a run and its steps into states. put_out: parameters that evaluate hands on."""
        (job,) = [one for name, one in self.jobs.items() if name.endswith(f"/{run}")]
        job.state = aiplatform_v1beta1.PipelineState[f"PIPELINE_STATE_{state}"]
        del job.job_detail.task_details[:]
        # The run as a whole is a task of its own.
        for number, (name, stands) in enumerate({run: state, **steps}.items()):
            task = job.job_detail.task_details.add(task_id=100 + number, task_name=name, task_unique_name=name)
            task.state = aiplatform_v1beta1.PipelineTaskDetail.State[stands]
            task.start_time.FromDatetime(START)
            task.end_time.FromDatetime(START + timedelta(seconds=90 + number))
            task.executor_detail.container_detail.main_job = f"projects/1/locations/europe-west4/customJobs/{number}"
            if stands == "FAILED":
                task.error.message = message
            if name == "evaluate":
                for key, value in put_out.items():
                    task.execution.metadata[f"output:{key}"] = value
        if state in ("FAILED", "CANCELLED"):
            job.error.message = message
        if state in ("FAILED", "CANCELLED", "SUCCEEDED"):
            job.end_time.FromDatetime(self._next())


def check_job(job: Any, job_id: str = "any") -> None:
    """What the service checks beyond the types. Raises Refused."""
    spec = ParseDict(MessageToDict(job.pipeline_spec), pipeline_spec_pb2.PipelineSpec())
    accelerators = {one.container.resources.accelerator.type for one in _executors(job)} - {""}
    known = {one.name for one in aiplatform_v1.AcceleratorType}
    wrong = [
        why
        for why, holds in {
            f"id {job_id!r}": re.fullmatch(r"[a-z][-a-z0-9]{0,127}", job_id),
            "gcs_output_directory": job.runtime_config.gcs_output_directory.startswith("gs://"),
            "labels": all(re.fullmatch(r"[a-z0-9_-]{0,63}", part) for pair in job.labels.items() for part in pair),
            "parameters": set(job.runtime_config.parameter_values) <= set(spec.root.input_definitions.parameters),
            f"accelerators {accelerators}": accelerators <= known,
        }.items()
        if not holds
    ]
    if wrong:
        raise Refused(400, f"wrong: {', '.join(wrong)}", broken=True)


def _executors(job: Any) -> list[Any]:
    deployment = MessageToDict(job.pipeline_spec)["deploymentSpec"]
    return list(ParseDict(deployment, pipeline_spec_pb2.PipelineDeploymentConfig()).executors.values())


def check_schedule(schedule: Any) -> None:
    """Raises Refused."""
    if not re.fullmatch(r"TZ=\S+( \S+){5}", schedule.cron):
        raise Refused(400, f"cron {schedule.cron!r}", broken=True)
    if not (schedule.display_name and schedule.max_concurrent_run_count):
        raise Refused(400, "display_name and max_concurrent_run_count are required", broken=True)
    check_job(schedule.create_pipeline_job_request.pipeline_job)
