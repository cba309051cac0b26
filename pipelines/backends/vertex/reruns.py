"""Going on with a run that did not finish: a rerun of Vertex AI, which the beta of its interface has.

Steps that succeeded are skipped, and hand on what they made; all others run again.
"""

import re
from typing import Any

from pipelines.backends.remote import ENDED
from pipelines.backends.vertex.jobs import run_of
from training.errors import InputError, OstinatoError

NUMBER = "vertex-ai-pipelines-run-billing-id"
"""Label that Vertex AI gives each job: by its number a rerun names the job that it goes on with."""


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
