"""Base models that are brought here: converted, copied from a bucket, fetched from a hub; once, also after a kill."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.loopback import LoopbackServer, Reply, Request
from stores.conftest import fetch

from delivery.models.language.base_files import files_digest
from delivery.stores import base_model
from delivery.stores.base_model import base_digest
from training.errors import InputError

FORK = multiprocessing.get_context("fork")
BOUND_S = 120.0
COMMIT = "0123456789" * 4


@pytest.fixture
def gguf(model: Path) -> Path:
    """A tiny Llama as a GGUF file, written with the format's own library."""
    import gguf as library
    import numpy as np

    path = model.parent / "tiny.gguf"
    writer = library.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = ["<|end|>", *[chr(i) for i in range(33, 127)], "ab"]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), 32), "output": (len(tokens), 32), "blk.0.attn_q": (32, 32)}
    shapes |= {"blk.0.attn_k": (16, 32), "blk.0.attn_v": (16, 32), "blk.0.attn_output": (32, 32)}
    shapes |= {f"blk.0.ffn_{one}": (32, 32) for one in ("gate", "up", "down")}
    shapes |= {one: (32,) for one in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_is_converted_once_and_kept_by_its_content(
    gguf: Path, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = fetch("./tiny.gguf", workspace)
    assert "converting" in capsys.readouterr().out
    assert found.name == files_digest(found) == base_digest(found)
    assert json.loads((found / "config.json").read_text())["dtype"] == "bfloat16"
    assert (found / "chat_template.jinja").read_text().startswith("{% for m in messages")
    shutil.copyfile(gguf, workspace / "other-name.gguf")
    assert fetch("./other-name.gguf", workspace) == found
    assert "converting" not in capsys.readouterr().out
    assert str(workspace) not in (found / "config.json").read_text() + (found / "tokenizer_config.json").read_text()


def test_a_file_that_is_no_gguf_is_refused_and_nothing_is_kept(workspace: Path) -> None:
    (workspace / "tiny.gguf").write_bytes(b"GGUF, it says")
    with pytest.raises(InputError, match="can't be read as GGUF"):
        fetch("./tiny.gguf", workspace)
    assert not (base_model.cache() / "models").exists()


def fill(out: Path, tiny: Path, die: bool, made: Path) -> None:
    shutil.copytree(tiny, out, dirs_exist_ok=True)
    with made.open("a") as file:
        file.write("made\n")
    if die:
        (out / "model.safetensors").unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def keep(tiny: Path, die: bool, made: Path) -> None:
    base_model._kept("some state", lambda out: fill(out, tiny, die, made), "it")


def test_a_fetch_that_is_killed_leaves_nothing_that_looks_whole(tiny: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    victim = FORK.Process(target=keep, args=(tiny, True, made))
    victim.start()
    victim.join(BOUND_S)
    assert victim.exitcode == -signal.SIGKILL and not (base_model.cache() / "models").exists()
    keep(tiny, False, made)
    keep(tiny, False, made)
    [kept] = (base_model.cache() / "models").iterdir()
    assert files_digest(kept) == kept.name and made.read_text().count("made") == 2


def keep_slowly(tiny: Path, made: Path, go: Any) -> None:
    def make(out: Path) -> None:
        fill(out, tiny, False, made)
        assert go.wait(BOUND_S)

    base_model._kept("some state", make, "it")


def waits_for_a_lock(worker: Any) -> bool:
    return any("->" in line and f" {worker.pid} " in line for line in Path("/proc/locks").read_text().splitlines())


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end


def test_fetches_at_the_same_time_make_one(tiny: Path, tmp_path: Path) -> None:
    made, go = tmp_path / "made", FORK.Event()
    first, second = (FORK.Process(target=keep_slowly, args=(tiny, made, go)) for _ in range(2))
    first.start()
    until(made.is_file)
    second.start()
    until(lambda: waits_for_a_lock(second) or made.read_text().count("made") > 1)
    go.set()
    for worker in (first, second):
        worker.join(BOUND_S)
    assert [first.exitcode, second.exitcode] == [0, 0]
    assert made.read_text().count("made") == 1


def test_a_bucket_is_copied_once_for_each_state_of_it_and_without_what_is_not_wanted(
    tiny: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.registry import _registry

    class Bucket(MemoryFileSystem):
        """A bucket in memory, under the address of a real one."""

        protocol = "gs"

        @classmethod
        def _strip_protocol(cls, path: str) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
            return super()._strip_protocol(path.removeprefix("gs://"))

    monkeypatch.setitem(_registry, "gs", Bucket)
    store = Bucket()
    for path in tiny.iterdir():
        store.pipe_file(f"/models/tiny/{path.name}", path.read_bytes())
    store.pipe_file("/models/tiny/pytorch_model.bin", b"a pickle")
    found = fetch("gs://models/tiny", workspace)
    assert sorted(path.name for path in found.iterdir()) == sorted(path.name for path in tiny.iterdir())
    assert fetch("gs://models/tiny", workspace, sha256=base_digest(found)) == found
    store.rm_file("/models/tiny/tokenizer.json")
    with pytest.raises(InputError, match=r"tokenizer.json missing"):
        fetch("gs://models/tiny", workspace)
    with pytest.raises(InputError, match="there is nothing"):
        fetch("gs://models/none", workspace)


class Hub(LoopbackServer):
    """The few answers of a hub that downloading a snapshot needs; a stand-in, since no hub can run here."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def answer(self, request: Request) -> Reply:
        if "/api/models/someone/tiny/" in request.path and COMMIT in request.path:
            names = [path.name for path in self.folder.iterdir()]
            listed = [{"rfilename": name} for name in [*names, "pytorch_model.bin", "modeling.py"]]
            siblings = [{"type": "file", "oid": "1", "size": 1, "path": one["rfilename"]} for one in listed]
            info = {"id": "someone/tiny", "sha": COMMIT, "siblings": listed, "private": False, "tags": []}
            return self._file(json.dumps(siblings if "/tree/" in request.path else info).encode())
        if f"/someone/tiny/resolve/{COMMIT}/" in request.path:
            return self._file((self.folder / request.path.rpartition("/")[2]).read_bytes())
        return Reply(
            404, headers={"X-Error-Code": "RevisionNotFound" if "someone/tiny" in request.path else "RepoNotFound"}
        )

    def _file(self, content: bytes) -> Reply:
        return Reply(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{abs(hash(content)):x}"'})


@pytest.fixture
def hub(tiny: Path) -> Iterator[Hub]:
    with Hub(tiny) as server:
        yield server


def from_the_hub(hub: str, home: Path, source: str = "someone/tiny", commit: str = COMMIT, **more: str) -> str:
    """What fetching says, in a process of its own: the hub's library reads its settings when it is imported."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom delivery.stores.base_model import fetch_base_model\n"
        "from training.errors import OstinatoError\nfrom training.spec import BaseModelSpec\n"
        "try:\n    fetch_base_model(BaseModelSpec(source=sys.argv[1], revision=sys.argv[2]), Path('.'))\n"
        "except OstinatoError as error:\n    print(f'exit {error.exit_code}: {error}')\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", **more}
    done = subprocess.run(
        [sys.executable, "-c", code, source, commit], env=environment, capture_output=True, text=True, timeout=BOUND_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_of_the_hub_is_fetched_at_its_commit_and_then_found_without_a_network(
    hub: Hub, tiny: Path, tmp_path: Path
) -> None:
    said = from_the_hub(hub.url, tmp_path / "hf", HF_TOKEN="hf_secret")
    assert f"sha256 {files_digest(tiny)}" in said and "secret" not in said
    assert "Bearer hf_secret" in {request.headers.get("Authorization") for request in hub.log}
    assert not {"pytorch_model.bin", "modeling.py"} & {request.path.rpartition("/")[2] for request in hub.log}
    assert from_the_hub("http://127.0.0.1:9", tmp_path / "hf", HF_HUB_OFFLINE="1") == said


def test_what_the_hub_does_not_give_is_told_with_the_way_out(hub: Hub, tmp_path: Path) -> None:
    assert "exit 2: the base model someone/other at" in from_the_hub(hub.url, tmp_path, source="someone/other")
    assert "has no such commit" in from_the_hub(hub.url, tmp_path, commit="f" * 40)
    said = from_the_hub("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert "exit 1:" in said and "hf download someone/tiny --revision 0123" in said
