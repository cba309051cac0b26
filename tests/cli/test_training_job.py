"""`ostinato compile --training-job`: a job that Kubeflow's Trainer or Vertex AI takes, from the spec alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.candidates import language_spec
from harness.command_line import Finished

from pipelines.backends.kubeflow.train_job import train_job
from pipelines.backends.row import TrainingJob
from pipelines.backends.table import find_backend
from pipelines.backends.training_job import training_job_text
from pipelines.backends.vertex.custom_job import custom_job
from pipelines.backends.vertex.machines import MACHINES, machine_for
from training.errors import InputError
from training.spec import ModelSpec, StepResources

DATA, OUT = "gs://runs/1/data", "gs://runs/1/model"
IMAGE = "registry.example.org/ostinato@sha256:" + "1" * 64


def spec(kind: str = "nvidia.com/gpu", count: int = 2, workers: int = 3) -> ModelSpec:
    accelerator = {"type": kind, "count": count} if kind else None
    resources = {"cpu": "8", "memory": "64Gi", "accelerator": accelerator}
    return language_spec(training={"workers": workers, "resources": resources})


VERTEX = spec("NVIDIA_L4")


def test_a_train_job_asks_for_every_machine_and_a_process_for_each_accelerator() -> None:
    wanted = train_job(TrainingJob(spec(), IMAGE, DATA, OUT))["spec"]
    trainer = wanted["trainer"]
    assert wanted["runtimeRef"]["name"] == "torch-distributed"
    assert (trainer["image"], trainer["numNodes"], trainer["numProcPerNode"]) == (IMAGE, 3, 2)
    assert trainer["resourcesPerNode"]["limits"] == {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "2"}
    assert trainer["command"] == ["torchrun", "-m", "components.train"]
    assert trainer["args"][:3] == ["llm-qa", f"--data={DATA}", f"--out={OUT}"]
    assert trainer["args"][3] == f"--spec-digest={spec().digest()}"


def test_processes_of_one_machine_get_shared_memory() -> None:
    assert "/dev/shm" in json.dumps(train_job(TrainingJob(spec(), IMAGE, DATA, OUT)))
    assert "runtimePatches" not in train_job(TrainingJob(spec(count=1), IMAGE, DATA, OUT))["spec"]


def test_a_custom_job_has_one_primary_replica_and_the_others_beside_it() -> None:
    pools = custom_job(TrainingJob(VERTEX, IMAGE, DATA, OUT))["jobSpec"]["workerPoolSpecs"]
    assert [one["replicaCount"] for one in pools] == ["1", "2"]
    for pool in pools:
        machine = {"machineType": "g2-standard-24", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 2}
        assert pool["machineSpec"] == machine
        assert pool["containerSpec"]["args"][-1] == "--processes=2"
    (alone,) = custom_job(TrainingJob(spec("NVIDIA_L4", workers=1), IMAGE, DATA, OUT))["jobSpec"]["workerPoolSpecs"]
    assert alone["replicaCount"] == "1"


def test_equal_jobs_have_equal_names_and_others_have_not() -> None:
    def name(data: str) -> str:
        return train_job(TrainingJob(spec(), IMAGE, data, OUT))["metadata"]["name"]

    assert name(DATA) == name(DATA) != name("gs://runs/2/data")
    long = language_spec(name="a" * 46)
    assert len(train_job(TrainingJob(long, IMAGE, DATA, OUT))["metadata"]["name"] + "-node-0-255") <= 63


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", ["nvidia.com/gpu", ""])
def test_kubeflow_knows_every_field_of_a_train_job(kind: str, workers: int) -> None:
    api = pytest.importorskip("kubeflow_trainer_api.models", reason="kubeflow-trainer-api is not installed")
    wanted = train_job(TrainingJob(spec(kind, workers=workers), IMAGE, DATA, OUT))
    parsed = api.TrainerV1alpha1TrainJob.from_dict(wanted)
    assert json.loads(parsed.to_json()) == wanted, "what it does not know would be missing"


@pytest.mark.parametrize("kind", ["NVIDIA_L4", ""])
def test_vertex_knows_every_field_of_a_custom_job(kind: str) -> None:
    types = pytest.importorskip("google.cloud.aiplatform_v1.types", reason="google-cloud-aiplatform is not installed")
    from google.protobuf.json_format import ParseDict

    wanted = custom_job(TrainingJob(spec(kind), IMAGE, DATA, OUT))
    job = types.CustomJob()
    ParseDict(wanted, types.CustomJob.pb(job))
    pools = job.job_spec.worker_pool_specs
    assert [one.replica_count for one in pools] == [1, 2]
    assert pools[0].machine_spec.accelerator_type.name == (kind or "ACCELERATOR_TYPE_UNSPECIFIED")


def test_vertex_knows_every_accelerator_of_the_table() -> None:
    types = pytest.importorskip("google.cloud.aiplatform_v1.types", reason="google-cloud-aiplatform is not installed")
    assert {one for one in MACHINES if one} <= {one.name for one in types.AcceleratorType}


@pytest.mark.parametrize(
    ("cpu", "memory", "accelerator", "machine"),
    [
        ("1", "2Gi", None, "n1-standard-4"),
        ("4", "16Gi", None, "n1-highmem-4"),
        ("9", "16Gi", None, "n1-standard-16"),
        ("500m", "27Gi", ("NVIDIA_TESLA_T4", 4), "n1-standard-8"),
        ("12", "48Gi", ("NVIDIA_L4", 1), "g2-standard-12"),
        ("12", "85Gi", ("NVIDIA_TESLA_A100", 1), "a2-highgpu-1g"),
        ("1", "1Ti", ("NVIDIA_H100_80GB", 8), "a3-highgpu-8g"),
    ],
)
def test_the_smallest_machine_that_fits_is_taken(
    cpu: str, memory: str, accelerator: tuple[str, int] | None, machine: str
) -> None:
    asked = {"type": accelerator[0], "count": accelerator[1]} if accelerator else None
    assert machine_for(StepResources.model_validate({"cpu": cpu, "memory": memory, "accelerator": asked})) == machine


@pytest.mark.parametrize(
    ("kind", "count", "said"),
    [
        ("NVIDIA_L5", 1, "no machine type is known for 'NVIDIA_L5'. Did you mean 'NVIDIA_L4'"),
        ("NVIDIA_L4", 3, "NVIDIA_L4 comes as 1, 2, 4, 8 on a machine, not as 3"),
        ("NVIDIA_TESLA_A100", 0, "are more than the largest machine has (n1-highmem-96: 96 vCPUs, 624.0 GiB)"),
    ],
)
def test_a_machine_that_is_not_to_be_had_is_refused(kind: str, count: int, said: str) -> None:
    asked = {"cpu": "1", "memory": "2Ti", "accelerator": {"type": kind, "count": count} if count else None}
    with pytest.raises(InputError) as caught:
        machine_for(StepResources.model_validate(asked))
    assert said in str(caught.value)


TABLE = language_spec().model_copy(update={"task": "regression"})


@pytest.mark.parametrize(
    ("wanted", "backend", "data", "out", "machine", "said"),
    [
        (spec(), "kubflow", DATA, OUT, None, "Did you mean 'kubeflow'"),
        (spec(), "local", DATA, OUT, None, "the backend 'local' has no training jobs"),
        (TABLE, "kubeflow", DATA, OUT, None, "trains language models; llm-qa is one of regression"),
        (spec(), "kubeflow", None, OUT, None, "needs --data"),
        (spec(), "kubeflow", DATA, None, None, "and --out"),
        (spec(), "kubeflow", "runs/data", OUT, None, "--data 'runs/data' is relative"),
        (spec(), "kubeflow", DATA, "model", None, "--out 'model' is relative"),
        (spec(), "kubeflow", DATA, OUT, "n1-standard-4", "--machine-type is Vertex AI's"),
        (VERTEX, "kubeflow", DATA, OUT, None, "is no Kubernetes resource"),
        (spec(), "vertex", DATA, OUT, "n1-standard-4", "is Kubernetes' name; write Vertex AI's"),
        (spec(), "vertex", DATA, OUT, None, "is Kubernetes' name; write Vertex AI's"),
    ],
)
def test_what_the_backend_could_not_use_is_refused(
    wanted: ModelSpec, backend: str, data: str | None, out: str | None, machine: str | None, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        training_job_text(find_backend(backend), wanted, IMAGE, data, out, machine)
    assert said in str(caught.value)


@pytest.fixture
def ours(workspace: Path) -> Path:
    """The workspace with a language model in it."""
    folder = workspace / "training" / "llm_qa"
    folder.mkdir()
    (folder / "spec.yaml").write_text(yaml.safe_dump(VERTEX.model_dump(mode="json")))
    return workspace


Ostinato = Callable[..., Finished]
JOB = ("compile", "llm-qa", "--training-job", "--backend", "vertex", "--data", DATA, "--out", OUT)


@pytest.mark.usefixtures("ours")
def test_the_job_is_written_from_the_command_line(ostinato: Ostinato, tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    ostinato(*JOB, "-o", str(file), expect=0, OSTINATO_IMAGE=IMAGE)
    assert json.loads(file.read_text()) == custom_job(TrainingJob(VERTEX, IMAGE, DATA, OUT))
    ostinato(*JOB, "-o", str(file), "--machine-type", "g2-standard-32", expect=0)
    (first, _) = json.loads(file.read_text())["jobSpec"]["workerPoolSpecs"]
    assert first["machineSpec"]["machineType"] == "g2-standard-32"


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*JOB, "--until", "train"], "--training-job is the train step alone"),
        (["compile", "llm-qa", "--data", DATA], "go with --training-job"),
        (["compile", "demand-forecaster", *JOB[2:]], "trains language models; demand-forecaster is one of regression"),
        (
            ["shadow", "llm-qa", "--compare", "rows.csv", "--url", "http://a", "--shadow-url", "http://b"],
            "--compare knows numbers and classes, and llm-qa answers with text",
        ),
    ],
)
def test_options_that_go_nowhere_are_refused(
    ostinato: Ostinato, tmp_path: Path, arguments: list[Any], said: str
) -> None:
    output = ["-o", str(tmp_path / "job")] if arguments[0] == "compile" else []
    assert said in ostinato(*arguments, *output, expect=2).err.replace("\n", " ")
