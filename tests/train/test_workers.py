"""The train step as a job: each machine finds its place, and the first process alone writes the model folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.command_line import ROOT, environment
from harness.servers import free_port

from components.preprocess.steps import preprocess
from components.train.workers import is_first, torchrun_arguments
from delivery.models.folder import model_digest
from delivery.stores.transfer import fetched, upload_folder
from training.errors import InputError, OstinatoError
from training.folder import model_spec

NAME = "demand-forecaster"


def cluster(pool: int, index: int = 0, others: int = 2, first: str = "host-a:3333") -> str:
    """CLUSTER_SPEC as Vertex AI documents it."""
    pools = {"workerpool0": [first], "workerpool1": [f"host-{n}:3333" for n in range(others)]}
    task = {"type": f"workerpool{pool}", "index": index, "trial": ""}
    return json.dumps({"cluster": pools, "environment": "cloud", "task": task})


def test_a_machine_alone_needs_torchrun_for_several_processes_only() -> None:
    assert torchrun_arguments({}, 1) == []
    assert torchrun_arguments({}, 2) == ["--standalone", "--nproc-per-node=2"]
    assert torchrun_arguments({"CLUSTER_SPEC": cluster(0, others=0)}, 1) == []


@pytest.mark.parametrize(("pool", "index", "place"), [(0, 0, 0), (1, 0, 1), (1, 1, 2)])
def test_each_machine_finds_its_place_and_the_first_one(pool: int, index: int, place: int) -> None:
    found = torchrun_arguments({"CLUSTER_SPEC": cluster(pool, index)}, 4)
    assert found == [
        "--nnodes=3",
        f"--node-rank={place}",
        "--nproc-per-node=4",
        "--master-addr=host-a",
        "--master-port=3333",
    ]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"cluster": {}, "task": {"type": "workerpool0", "index": 0}}'])
def test_a_cluster_that_can_not_be_read_is_an_error_and_no_training_alone(text: str) -> None:
    with pytest.raises(OstinatoError, match="CLUSTER_SPEC can't be read"):
        torchrun_arguments({"CLUSTER_SPEC": text}, 1)


def test_a_rank_that_the_cluster_gives_to_a_machine_is_no_rank_of_a_process() -> None:
    assert is_first({}) and is_first({"RANK": "1"}), "without torchrun there is one process"
    assert is_first({"RANK": "0", "LOCAL_RANK": "0"}) and not is_first({"RANK": "1", "LOCAL_RANK": "0"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What preprocess writes of the first year."""
    spec = model_spec(ROOT, NAME)
    folder = tmp_path_factory.mktemp("step")
    source = str(ROOT / "training" / "demand_forecaster" / spec.data.source)
    preprocess(NAME, spec.data.canonical_json(), source, "", "2011-12-01", folder / "data")
    return folder / "data"


def job(data: Path, out: Path, *more: str, **extra: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "components.train", NAME, f"--data={data}", f"--out={out}", *more]
    settings = {"PYTHONPATH": str(ROOT), **extra}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment(ROOT, **settings), cwd=ROOT, **pipes)


def test_the_first_process_writes_what_the_step_would_and_another_writes_nothing(data: Path, tmp_path: Path) -> None:
    places = {rank: tmp_path / f"model-{rank}" for rank in ("0", "1")}
    started = [(job(data, places[rank], RANK=rank, LOCAL_RANK="0"), rank) for rank in places]
    said = {rank: process.communicate(timeout=120)[0] for process, rank in started}
    assert [process.returncode for process, _ in started] == [0, 0], said
    assert f"with digest {model_digest(places['0'])}" in said["0"]
    assert not places["1"].exists() and "wrote" not in said["1"]


def test_two_machines_of_a_cluster_train_as_one_job(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torchrun is torch's")
    first, out = f"127.0.0.1:{free_port()}", tmp_path / "model"
    specs = [cluster(pool, others=1, first=first) for pool in (0, 1)]
    started = [job(data, out, "--processes=1", CLUSTER_SPEC=one) for one in specs]
    said = [process.communicate(timeout=180)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert ["wrote" in one for one in said] == [True, False], "both trained, one wrote"
    assert all("fitted" in one for one in said)
    assert (out / "MLmodel").is_file()


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--spec-digest=sha256:0"], 2, "the image has another spec"),
        (["--data=/no/such/folder"], 2, "/no/such/folder is no folder on this machine"),
        (["--data=memory://nothing"], 2, "there is nothing at memory://nothing"),
    ],
)
def test_a_job_that_can_not_begin_says_why(data: Path, tmp_path: Path, more: list[str], code: int, said: str) -> None:
    process = job(data, tmp_path / "model", *more)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == code and said in told


def test_the_exit_code_of_a_failed_worker_is_the_jobs(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torchrun is torch's")
    process = job(data, tmp_path / "model", "--processes=2", "--spec-digest=sha256:0")
    told = process.communicate(timeout=180)[0]
    assert process.returncode == 2 and "ended with exit code 2" in told


def test_a_folder_goes_to_a_store_and_comes_back_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "deep" / "weights").write_bytes(os.urandom(100))
    for uri in (str(tmp_path / "there"), f"file://{tmp_path}/elsewhere", "memory://bucket/model"):
        upload_folder(folder, uri)
        assert model_digest(fetched(uri, tmp_path / f"back-{uri[:4].strip('/')}")) == model_digest(folder)


def test_whoever_finds_the_file_mlmodel_finds_the_rest_as_well(tmp_path: Path) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    for name in ("A", "MLmodel", "zz"):
        (tmp_path / name).write_text(name)
    upload_folder(tmp_path, "memory://order/model")
    store = MemoryFileSystem()
    written = {file: store.created(file) for file in store.find("/order/model")}
    assert len(written) == 3 and max(written, key=lambda file: written[file]).endswith("/MLmodel")


def test_a_store_that_can_not_be_reached_is_named(tmp_path: Path) -> None:
    with pytest.raises(OstinatoError, match=r"nostore://a/b can't be written"):
        upload_folder(tmp_path, "nostore://a/b")
    with pytest.raises(InputError, match="is no folder on this machine"):
        fetched("relative", tmp_path / "x")
