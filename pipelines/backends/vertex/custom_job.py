"""Training on several machines: a CustomJob of Vertex AI."""

import json

from pipelines.backends.row import TrainingJob
from pipelines.backends.training_job import Document, job_name, processes_per_machine, train_arguments
from pipelines.backends.vertex.machines import machine_for
from training.errors import InputError


def custom_job_text(job: TrainingJob) -> str:
    """The job as JSON. Raises InputError as :func:`custom_job`."""
    return json.dumps(custom_job(job), indent=2) + "\n"


def custom_job(job: TrainingJob) -> Document:
    """A CustomJob of Vertex AI (aiplatform v1) as JSON of its REST interface: one primary replica, then the others.

    Raises InputError for an accelerator that Vertex AI does not name so, or a machine that is not to be had.
    """
    accelerator = job.spec.training.resources.accelerator
    if accelerator and "/" in accelerator.type:
        raise InputError(
            f"training.resources.accelerator.type: {accelerator.type!r} is Kubernetes' name; write Vertex AI's, "
            "such as NVIDIA_L4, or compile for Kubeflow"
        )
    machine: Document = {"machineType": job.machine_type or machine_for(job.spec.training.resources)}
    if accelerator:
        machine |= {"acceleratorType": accelerator.type, "acceleratorCount": accelerator.count}
    processes = processes_per_machine(job.spec.training.resources)
    container = {
        "imageUri": job.image,
        "command": ["python", "-m", "components.train"],
        "args": [*train_arguments(job), f"--processes={processes}"],
    }
    counts = [1, job.spec.training.workers - 1]
    pools = [{"machineSpec": machine, "replicaCount": str(n), "containerSpec": container} for n in counts if n]
    content = {"workerPoolSpecs": pools}
    return {
        "displayName": job_name(job.spec, content),
        "labels": {"part-of": "ostinato", "model": job.spec.name},
        "jobSpec": content,
    }
