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

import numpy as np
import pandas as pd
import pytest
import yaml

from components.serving.process import Served, serving
from components.serving.prove import Proof, difference, prove_servable
from components.train.model_folder import load_model, model_digest
from training.errors import InputError, OstinatoError

COLD_START_S = 30.0
"""Far above what a start takes (3 s on a quiet machine of two cores), so that only a hang fails."""


def no_weights(folder: Path) -> None:
    (folder / "model.skops").unlink()


def truncated(folder: Path) -> None:
    weights = folder / "model.skops"
    weights.write_bytes(weights.read_bytes()[:2000])


def a_pickle(folder: Path) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    described["flavors"]["sklearn"] |= {"serialization_format": "cloudpickle", "pickled_model": "model.pkl"}
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch pickle-was-loaded'\ntR.")


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
        (no_description, "MLmodel is missing"),
        (no_signature, "MLmodel has no signature with named columns"),
    ],
)
def test_a_wrong_model_folder_is_refused_at_the_start_with_the_reason(
    regressor: Path, tmp_path: Path, test_rows: pd.DataFrame, damage: Callable[[Path], None], words: str
) -> None:
    folder = shutil.copytree(regressor, tmp_path / "model")
    damage(folder)
    with pytest.raises(OstinatoError, match=f"ended with exit code 1: error: .*{re.escape(words)}"):
        prove_servable(folder, "amount", test_rows, np.zeros(len(test_rows)), "regression")
    assert not list(Path.cwd().glob("pickle-was-loaded"))


def test_a_folder_without_an_example_asks_for_the_first_rows(regressor: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(regressor, tmp_path / "model")
    (folder / "input_example.json").unlink()
    with pytest.raises(InputError, match="no input example; give the rows"), serving(folder, "amount"):
        pass


def test_a_cold_start_is_measured_and_bounded(amount_server: Served) -> None:
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
        "import sys, time; from pathlib import Path; from components.serving.process import serving\n"
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


def test_a_model_that_is_served_as_it_was_judged_is_proven(classifier: Path, test_rows: pd.DataFrame) -> None:
    proof = prove_servable(classifier, "mood", test_rows, load_model(classifier).predict(test_rows), "classification")
    assert isinstance(proof, Proof)
    assert (proof.agrees, proof.worst_difference, proof.rows, proof.concurrency) == (True, 0, 2000, 4)
    assert 0 < proof.p50_ms <= proof.p99_ms
    assert 0 < proof.calls <= 200
    assert 0 < proof.cold_start_s < COLD_START_S


def test_a_model_that_answers_otherwise_than_it_was_judged_is_not(regressor: Path, test_rows: pd.DataFrame) -> None:
    expected = load_model(regressor).predict(test_rows)
    expected[3] *= 1 + 1e-6
    proof = prove_servable(regressor, "amount", test_rows, expected, "regression")
    assert not proof.agrees
    assert proof.worst_difference == pytest.approx(1e-6, rel=1e-3)


def test_numbers_differ_relative_to_their_size_and_rounding_next_to_zero_is_none() -> None:
    expected = np.array([1e6, 2.0, 0.0])
    assert difference(expected.copy(), expected, "regression") == 0
    assert difference(expected + np.array([0, 2e-8, 0]), expected, "regression") == pytest.approx(1e-8)
    assert difference(expected + np.array([0, 0, 1e-12]), expected, "regression") == pytest.approx(1e-12)
    assert difference(expected * np.nan, expected, "regression") == np.inf
    assert difference(expected[:2], expected, "regression") == np.inf
    assert difference(np.array([1e-9]), np.zeros(1), "regression") == np.inf
    assert difference(np.zeros(1), np.zeros(1), "regression") == 0


def test_one_other_class_is_a_difference() -> None:
    labels = np.array(["a", "b", "b", "c"], dtype=object)
    assert difference(labels.copy(), labels, "classification") == 0
    assert difference(np.array(["a", "b", "c", "c"], dtype=object), labels, "classification") == 0.25
    assert difference(np.array(["1"], dtype=object), np.array([1]), "classification") == 1


def test_importing_the_proof_does_not_import_kserve_or_pandas() -> None:
    code = (
        "import sys, components.serving.server, components.serving.prove; "
        "print([one for one in ('kserve', 'pandas', 'numpy', 'sklearn', 'fastapi', 'requests') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
