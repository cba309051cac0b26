"""Training on several machines: a TrainJob of Kubeflow Trainer 2."""

import yaml

from delivery.kserve.documents import KubernetesDumper
from delivery.kserve.quantities import quantities
from pipelines.backends.row import TrainingJob
from pipelines.backends.training_job import Document, job_name, processes_per_machine, train_arguments
from training.errors import InputError

RUNTIME = "torch-distributed"
"""Of Kubeflow Trainer's stock ClusterTrainingRuntimes; its job and its container are both called `node`."""
NODE = "node"


def train_job_text(job: TrainingJob) -> str:
    """The job as YAML. Raises InputError as :func:`train_job`, and for a machine type."""
    if job.machine_type:
        raise InputError("--machine-type is Vertex AI's; on Kubeflow training.resources decide")
    return yaml.dump(train_job(job), Dumper=KubernetesDumper, sort_keys=False, width=10_000)


def train_job(job: TrainingJob) -> Document:
    """A TrainJob of Kubeflow Trainer 2 (trainer.kubeflow.org/v1alpha1), whose torch runtime sets what torchrun reads.

    Raises InputError for an accelerator that is no Kubernetes resource.
    """
    resources = job.spec.training.resources
    if resources.accelerator and "/" not in resources.accelerator.type:
        raise InputError(
            f"training.resources.accelerator.type: {resources.accelerator.type!r} is no Kubernetes resource; write one "
            "such as nvidia.com/gpu, or compile for Vertex AI"
        )
    requests = quantities(resources)
    processes = processes_per_machine(resources)
    trainer = {
        "image": job.image,
        "numNodes": job.spec.training.workers,
        "numProcPerNode": processes,
        "resourcesPerNode": {"requests": requests, "limits": dict(requests)},
        "command": ["torchrun", "-m", "components.train"],
        "args": train_arguments(job),
    }
    content: Document = {
        "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": RUNTIME},
        "trainer": trainer,
    }
    if processes > 1:
        content["runtimePatches"] = [_shared_memory()]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": job_name(job.spec, content), "labels": {"app.kubernetes.io/part-of": "ostinato"}},
        "spec": content,
    }


def _shared_memory() -> Document:
    """Processes of one machine hand tensors over through /dev/shm, of which a container has 64 MiB."""
    mount = {"name": "dshm", "mountPath": "/dev/shm"}
    pod = {
        "volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory"}}],
        "containers": [{"name": NODE, "volumeMounts": [mount]}],
    }
    job = {"name": NODE, "template": {"spec": {"template": {"spec": pod}}}}
    patch = {"template": {"spec": {"replicatedJobs": [job]}}}
    return {"manager": "ostinato.dev/compile", "trainingRuntimeSpec": patch}
