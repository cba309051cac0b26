"""Starting, refusing to start, ending, and the proof that a served model agrees with the offline one."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from harness.servers import free_port, wait_until_ready

from delivery.models.folder import model_digest
from delivery.serving.process.process import RunningServer, serving
from delivery.serving.server.server import DIGEST_VARIABLE
from training.errors import InputError, OstinatoError

COLD_START_S = 30.0
"""Far above what a start takes (3 s on a quiet machine of two cores), so that only a hang fails."""


def no_weights(folder: Path) -> None:
    (folder / "model.skops").unlink()


def truncated(folder: Path) -> None:
    weights = folder / "model.skops"
    weights.write_bytes(weights.read_bytes()[:2000])


PICKLE = b"cos\nsystem\n(S'touch pickle-was-loaded'\ntR."


def a_pickle(folder: Path) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["sklearn"] |= {"serialization_format": "cloudpickle", "pickled_model": "model.pkl"}
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    (folder / "model.pkl").write_bytes(PICKLE)


def a_renamed_pickle(folder: Path) -> None:
    (folder / "model.skops").write_bytes(PICKLE)


def unknown_compression(folder: Path) -> None:
    weights = folder / "model.skops"
    content = bytearray(weights.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 10] = 77  # of the last member, by the archive's directory
    weights.write_bytes(content)


def a_folder_for_a_description(folder: Path) -> None:
    (folder / "MLmodel").unlink()
    (folder / "MLmodel").mkdir()


def half_a_description(folder: Path) -> None:
    described = folder / "MLmodel"
    described.write_bytes(described.read_bytes()[:200])


def bytes_for_a_description(folder: Path) -> None:
    (folder / "MLmodel").write_bytes(bytes(range(256)))


def no_description(folder: Path) -> None:
    (folder / "MLmodel").unlink()


def no_signature(folder: Path) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    del described["signature"]
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_weights, "model.skops is missing"),
        (truncated, "the weights are damaged"),
        (a_pickle, "weights are cloudpickle, which may run code; need skops"),
        (a_renamed_pickle, "the weights are damaged"),
        (unknown_compression, "the weights are damaged"),
        (a_folder_for_a_description, "can't be read"),
        (no_description, "MLmodel is missing"),
        (half_a_description, "MLmodel has no signature with named columns"),
        (bytes_for_a_description, "MLmodel has no signature with named columns"),
        (no_signature, "MLmodel has no signature with named columns"),
    ],
)
def test_a_wrong_model_folder_is_refused_at_the_start_with_the_reason(
    regressor: Path, tmp_path: Path, test_rows: pd.DataFrame, damage: Callable[[Path], None], words: str
) -> None:
    folder = shutil.copytree(regressor, tmp_path / "model")
    damage(folder)
    refused = pytest.raises(OstinatoError, match=f"ended with exit code 1: error: .*{re.escape(words)}")
    with refused as caught, serving(folder, "amount", test_rows):
        pass
    assert "Traceback" not in str(caught.value)
    assert not list(Path.cwd().glob("pickle-was-loaded"))


def start(folder: Path, digest: str) -> subprocess.CompletedProcess[str]:
    """The server as a manifest starts it, which must end by itself."""
    command = [
        sys.executable,
        "-m",
        "delivery.serving.server.server",
        "--model_dir",
        str(folder),
        "--model_name",
        "amount",
    ]
    env = {**os.environ, DIGEST_VARIABLE: digest}
    return subprocess.run([*command, "--http_port", "0"], env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("changed", ["model.skops", "requirements.txt", "one more"])
def test_a_folder_with_another_digest_than_the_manifest_says_is_not_served(
    regressor: Path, tmp_path: Path, changed: str
) -> None:
    folder, released = shutil.copytree(regressor, tmp_path / "model"), model_digest(regressor)
    with (folder / changed).open("ab") as file:
        file.write(b"#")
    done = start(folder, released)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {folder} has the digest {model_digest(folder)}, and {DIGEST_VARIABLE} demands {released}; "
        "the files are not those that were released, so nothing is served\n"
    )


def test_a_folder_with_the_digest_that_the_manifest_says_is_served(
    regressor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIGEST_VARIABLE, model_digest(regressor))
    with serving(regressor, "amount") as served:
        assert served.cold_start_s > 0


def test_a_folder_without_an_example_asks_for_the_first_rows(regressor: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(regressor, tmp_path / "model")
    (folder / "input_example.json").unlink()
    with pytest.raises(InputError, match="no input example; give the rows"), serving(folder, "amount"):
        pass


def test_a_cold_start_is_measured_and_bounded(amount_server: RunningServer) -> None:
    assert 0 < amount_server.cold_start_s < COLD_START_S


def test_the_process_is_gone_after_the_block_even_if_it_raised_and_the_folder_is_unchanged(regressor: Path) -> None:
    before = model_digest(regressor)
    with pytest.raises(KeyError), serving(regressor, "amount") as served:
        os.kill(served.pid, 0)
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(served.pid, 0)
    assert model_digest(regressor) == before


def test_the_server_ends_when_the_process_that_started_it_is_killed(regressor: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from delivery.serving.process.process import serving\n"
        "with serving(Path(sys.argv[1]), 'amount') as served: print(served.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(regressor)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while running(pid) and time.monotonic() < end:
        pass
    assert not running(pid)


def running(pid: int) -> bool:
    """Whether the process is there and not a zombie that nobody has waited for."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.strip()[:1] not in ("", "Z")


def test_importing_the_proof_does_not_import_kserve_or_pandas() -> None:
    code = (
        "import sys, delivery.serving.server.server, delivery.serving.proof.prove; "
        "print([one for one in ('kserve', 'pandas', 'numpy', 'sklearn', 'fastapi', 'requests') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_that_are_linked_while_the_server_starts_are_waited_for(regressor: Path, tmp_path: Path) -> None:
    port, link = free_port(), tmp_path / "models"
    command = [
        sys.executable,
        "-m",
        "delivery.serving.server.server",
        "--model_dir",
        str(link),
        "--model_name",
        "amount",
    ]
    with subprocess.Popen(
        [*command, "--http_port", str(port), "--stop_with_stdin"],
        env={**os.environ, "MODEL_INIT_MODE": "async"},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr and server.stderr.readline() == f"waiting for the model's files at {link}\n"
        link.symlink_to(regressor)
        wait_until_ready(f"http://127.0.0.1:{port}/v2/models/amount/ready", server)
        server.kill()
