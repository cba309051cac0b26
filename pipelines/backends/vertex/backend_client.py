"""A client of Vertex AI Pipelines: what is there is looked up before anything is made."""

from datetime import UTC, datetime

from pipelines.backends.remote import ENDED, PART_OF, RemoteRun, Submission
from pipelines.backends.vertex.api_errors import AlreadyThere, NotThere
from pipelines.backends.vertex.connection import VertexConnection, VertexRetryPolicy
from pipelines.backends.vertex.jobs import job_of, rerun_id, rerun_of, run_of
from pipelines.backends.vertex.schedules import Schedules
from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError

LISTED = ["name", "display_name", "state", "labels", "error", "create_time"]


class VertexClient(Schedules):
    """One project in one region, by its settings.

    All methods raise InputError for settings that can't be right, a missing package or missing credentials, and
    OstinatoError for a backend that can't be used.
    """

    name = "vertex"

    def __init__(self, settings: VertexSettings, patience: VertexRetryPolicy = VertexRetryPolicy()) -> None:  # noqa: B008
        super().__init__(VertexConnection(settings, patience))
        self.settings = settings

    def submit(self, submission: Submission) -> RemoteRun:
        """Start it; the run of this id that is there already instead."""
        present = self._find(submission.run)
        if present is not None:
            return present
        jobs = self._connection.jobs
        request = {"pipeline_job": job_of(submission, self.settings), "pipeline_job_id": submission.run}
        try:
            made = self._connection.call(
                f"starting the run {submission.run}",
                jobs.create_pipeline_job,
                {"parent": self._connection.parent, **request},
            )
        except AlreadyThere:  # made in between, or by a try whose answer was lost
            return self.get(submission.run)
        return run_of(made, new=True)

    def get(self, run: str) -> RemoteRun:
        """Raises InputError if there is none of this id."""
        current = self._find(run)
        if current is None:
            raise self._no_run(run)
        return current

    def _find(self, run: str) -> RemoteRun | None:
        jobs = self._connection.jobs
        try:
            job = self._connection.call(f"asking for the run {run}", jobs.get_pipeline_job, {"name": self._job(run)})
        except NotThere:
            return None
        return run_of(job)

    def _job(self, run: str) -> str:
        return f"{self._connection.parent}/pipelineJobs/{run}"

    def _no_run(self, run: str) -> InputError:
        return InputError(
            f"there is no run {run!r} on Vertex AI in project {self.settings.project}, region {self.settings.region}"
        )

    def cancel(self, run: str) -> None:
        """Raises InputError for a run that has come to another end."""
        current = self.get(run)
        if current.state == "cancelled":
            return
        if current.state in ENDED:
            raise InputError(f"run {run} has ended: {current.state}; there is nothing to cancel")
        self._connection.call(
            f"cancelling the run {run}", self._connection.jobs.cancel_pipeline_job, {"name": self._job(run)}
        )

    def resume(self, run: str) -> RemoteRun:
        """Go on from the first step that did not finish, as a run of its own whose id comes from the old one's.

        Raises InputError for a run that is not there, still runs, or has nothing left to do.
        """
        reruns = self._connection.reruns
        try:
            old = self._connection.call(f"asking for the run {run}", reruns.get_pipeline_job, {"name": self._job(run)})
        except NotThere as error:
            raise self._no_run(run) from error
        new = rerun_id(run)
        present = self._find(new)
        if present is not None:
            return present
        request = {"parent": self._connection.parent, "pipeline_job": rerun_of(old), "pipeline_job_id": new}
        try:
            made = self._connection.call(f"resuming the run {run}", reruns.create_pipeline_job, request)
        except AlreadyThere:
            return self.get(new)
        return run_of(made, new=True)

    def runs(self, since: datetime) -> list[RemoteRun]:
        """Ours, newest first; what their steps do is told by :meth:`get` only."""
        after = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        request = {
            "parent": self._connection.parent,
            "filter": f'labels.part-of="{PART_OF}" AND create_time>="{after}"',
            "order_by": "create_time desc",
            "read_mask": {"paths": LISTED},
        }
        pages = self._connection.pages("listing runs", self._connection.jobs.list_pipeline_jobs, request)
        return [run_of(job) for page in pages for job in page.pipeline_jobs]
