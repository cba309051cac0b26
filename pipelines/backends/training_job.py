"""Training on several machines: the train step alone, as a job of the backend's own.

Each machine runs `python -m components.train` in the project's image, as many processes as it has accelerators; the
first of all processes writes the model folder. What is written here is submitted by whoever has the cluster:
`kubectl create -f`, or the REST method projects.locations.customJobs.create.
"""

import hashlib
import json
from typing import Any

from pipelines.backends.row import Backend, TrainingJob
from training.errors import InputError
from training.spec import ModelSpec, Resources

Document = dict[str, Any]


def training_job_text(
    backend: Backend, spec: ModelSpec, image: str, data: str | None, out: str | None, machine_type: str | None = None
) -> str:
    """The job as a file. Equal arguments give equal text.

    data: URI of the data folder that preprocess wrote. out: URI for the model folder. machine_type: instead of the
    smallest that fits. Raises InputError for a spec or an argument that the backend can't use.
    """
    if backend.training_job is None:
        raise InputError(f"the backend {backend.name!r} has no training jobs; leave out --training-job")
    if not spec.is_language_model:
        raise InputError(f"--training-job trains language models; {spec.name} is one of {spec.task}: ostinato run")
    if not (data and out):
        raise InputError(
            "--training-job needs --data, the URI of what preprocess wrote, and --out, for the model folder"
        )
    for option, uri in (("--data", data), ("--out", out)):
        if not (uri.startswith("/") or "://" in uri):
            raise InputError(f"{option} {uri!r} is relative; every machine must find it: give a URI or a mounted path")
    return backend.training_job(TrainingJob(spec, image, data, out, machine_type or ""))


def train_arguments(job: TrainingJob) -> list[str]:
    """Of `python -m components.train`, without the number of processes."""
    return [job.spec.name, f"--data={job.data}", f"--out={job.out}", f"--spec-digest={job.spec.digest()}"]


def processes_per_machine(resources: Resources) -> int:
    return resources.accelerator.count if resources.accelerator else 1


def job_name(spec: ModelSpec, document: Document) -> str:
    """Of the model and eight digits of the content's hash, so that the same job has the same name.

    Kubernetes adds `-node-0-255` to it for a pod's host name, which has at most 63 characters.
    """
    key = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:8]
    return f"{spec.name[:40].rstrip('-')}-{key}"
