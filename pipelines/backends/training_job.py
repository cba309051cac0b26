"""Training on several machines: the train step as a job of Kubeflow's Trainer, or of Vertex AI.

Each machine runs `python -m components.train` in the project's image, as many processes as it has accelerators; the
first of all processes writes the model folder. What is written here is submitted by whoever has the cluster:
`kubectl create -f`, or the REST method projects.locations.customJobs.create.
"""

import hashlib
import json
from typing import Any

import yaml

from delivery.kserve.quantities import quantities
from pipelines.backends.vertex.machines import machine_for
from training.errors import InputError, did_you_mean
from training.spec.model import ModelSpec, Resources

ENGINES = ("kubeflow", "vertex")
RUNTIME = "torch-distributed"
"""Of Kubeflow Trainer's stock ClusterTrainingRuntimes; its job and its container are both called `node`."""
NODE = "node"
Document = dict[str, Any]


def job_text(
    spec: ModelSpec, engine: str, image: str, data: str | None, out: str | None, machine_type: str | None = None
) -> str:
    """The job as a file: YAML for `kubeflow`, JSON for `vertex`. Equal arguments give equal text.

    data: URI of the data folder that preprocess wrote. out: URI for the model folder. machine_type: of Vertex AI,
    instead of the smallest that fits. Raises InputError for a spec or an argument that the engine can't use.
    """
    if engine not in ENGINES:
        raise InputError(f"--training-job {engine!r} is no engine. {did_you_mean(engine, ENGINES)}")
    if spec.task != "generation":
        raise InputError(f"--training-job trains language models; {spec.name} is one of {spec.task}: ostinato run")
    if not (data and out):
        raise InputError(
            "--training-job needs --data, the URI of what preprocess wrote, and --out, for the model folder"
        )
    for option, uri in (("--data", data), ("--out", out)):
        if not (uri.startswith("/") or "://" in uri):
            raise InputError(f"{option} {uri!r} is relative; every machine must find it: give a URI or a mounted path")
    if engine == "kubeflow":
        if machine_type:
            raise InputError("--machine-type is Vertex AI's; on Kubeflow training.resources decide")
        return yaml.safe_dump(train_job(spec, image, data, out), sort_keys=False, width=10_000)
    return json.dumps(custom_job(spec, image, data, out, machine_type), indent=2) + "\n"


def train_job(spec: ModelSpec, image: str, data: str, out: str) -> Document:
    """A TrainJob of Kubeflow Trainer 2 (trainer.kubeflow.org/v1alpha1), whose torch runtime sets what torchrun reads.

    Raises InputError for an accelerator that is no Kubernetes resource.
    """
    resources = spec.training.resources
    if resources.accelerator and "/" not in resources.accelerator.type:
        raise InputError(
            f"training.resources.accelerator.type: {resources.accelerator.type!r} is no Kubernetes resource; write one "
            "such as nvidia.com/gpu, or compile for vertex"
        )
    asked = quantities(resources)
    processes = _processes(resources)
    trainer = {
        "image": image,
        "numNodes": spec.training.workers,
        "numProcPerNode": processes,
        "resourcesPerNode": {"requests": asked, "limits": dict(asked)},
        "command": ["torchrun", "-m", "components.train"],
        "args": _arguments(spec, data, out),
    }
    wanted: Document = {
        "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": RUNTIME},
        "trainer": trainer,
    }
    if processes > 1:
        wanted["runtimePatches"] = [_shared_memory()]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": _name(spec, wanted), "labels": {"app.kubernetes.io/part-of": "ostinato"}},
        "spec": wanted,
    }


def custom_job(spec: ModelSpec, image: str, data: str, out: str, machine_type: str | None = None) -> Document:
    """A CustomJob of Vertex AI (aiplatform v1) as JSON of its REST interface: one primary replica, then the others.

    Raises InputError for an accelerator that Vertex AI does not name so, or a machine that is not to be had.
    """
    accelerator = spec.training.resources.accelerator
    if accelerator and "/" in accelerator.type:
        raise InputError(
            f"training.resources.accelerator.type: {accelerator.type!r} is Kubernetes' name; write Vertex AI's, "
            "such as NVIDIA_L4, or compile for kubeflow"
        )
    machine: Document = {"machineType": machine_type or machine_for(spec.training.resources)}
    if accelerator:
        machine |= {"acceleratorType": accelerator.type, "acceleratorCount": accelerator.count}
    processes = _processes(spec.training.resources)
    container = {
        "imageUri": image,
        "command": ["python", "-m", "components.train"],
        "args": [*_arguments(spec, data, out), f"--processes={processes}"],
    }
    counts = [1, spec.training.workers - 1]
    pools = [{"machineSpec": machine, "replicaCount": str(n), "containerSpec": container} for n in counts if n]
    wanted = {"workerPoolSpecs": pools}
    return {
        "displayName": _name(spec, wanted),
        "labels": {"part-of": "ostinato", "model": spec.name},
        "jobSpec": wanted,
    }


def _arguments(spec: ModelSpec, data: str, out: str) -> list[str]:
    return [spec.name, f"--data={data}", f"--out={out}", f"--spec-digest={spec.digest()}"]


def _processes(resources: Resources) -> int:
    return resources.accelerator.count if resources.accelerator else 1


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


def _name(spec: ModelSpec, wanted: Document) -> str:
    """Of the model and eight digits of the content's hash, so that the same job has the same name.

    Kubernetes adds `-node-0-255` to it for a pod's host name, which has at most 63 characters.
    """
    key = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:8]
    return f"{spec.name[:40].rstrip('-')}-{key}"
