"""`ostinato verify`: the endpoint that is called is the version that git names, and answers as it was judged."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.command_line import OSTINATO, ROOT, Finished, environment, run_ostinato
from harness.servers import free_port, wait_until_ready

MODEL = "demand-forecaster"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which version 2 is live."""
    root = tmp_path_factory.mktemp("released") / "checkout"
    shutil.copytree(ROOT / "training" / "demand_forecaster", root / "training" / "demand_forecaster")
    shutil.copytree(ROOT / "manifests", root / "manifests")
    spec = root / "training" / "demand_forecaster" / "spec.yaml"
    loose = spec.read_text().replace("max_p99_ms: 1000", "max_p99_ms: 5000")
    spec.write_text(loose.replace("max_replicas: 3", "max_replicas: 1"))  # a canary wants a fixed number
    for day in ("2011-12-01", "2012-06-01"):
        done = run_ostinato(root, "run", MODEL, "--param", f"as_of={day}")
        assert done.code == 0, done.err
    return root


@contextmanager
def served(root: Path, *choice: str) -> Iterator[str]:
    """The URL of `ostinato serve`."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [str(OSTINATO), "serve", MODEL, "--port", url.rpartition(":")[2], *choice]
    with subprocess.Popen(command, cwd=root, env=environment(root), stdout=subprocess.DEVNULL) as server:
        try:
            wait_until_ready(f"{url}/v2/health/ready", server)
            yield url
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def verify(released: Path) -> Callable[..., Finished]:
    return lambda *arguments: run_ostinato(released, "verify", MODEL, *arguments)


def test_the_live_version_is_told_from_every_other(released: Path, verify: Callable[..., Finished]) -> None:
    with served(released) as url:
        done = verify("--url", url, "--json")
        assert done.code == 0, done.err
        told = json.loads(done.out)
        assert (told["version"], told["rows"], told["worst_difference"], told["named"]) == ("2", 500, 0, True)
        other = verify("--url", url, "--version", "1")
        assert other.code == 3 and f"{url} is not {MODEL} version 1" in other.err
    with served(released, "--version", "1") as url:
        done = verify("--url", url)
        assert done.code == 3 and "version 2: it serves the model with digest sha256:" in done.err
        assert verify("--url", url, "--version", "1").code == 0


def test_an_endpoint_that_is_still_starting_is_waited_for(released: Path, verify: Callable[..., Finished]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    waiting = subprocess.Popen(
        [str(OSTINATO), "verify", MODEL, "--url", url, "--wait", "120"],
        cwd=released,
        env=environment(released),
        stdout=subprocess.PIPE,
        text=True,
    )
    command = [str(OSTINATO), "serve", MODEL, "--port", url.rpartition(":")[2]]
    with subprocess.Popen(command, cwd=released, env=environment(released), stdout=subprocess.DEVNULL) as server:
        out, _ = waiting.communicate(timeout=150)
        server.terminate()
    assert waiting.returncode == 0 and "is demand-forecaster version 2" in out


def test_an_endpoint_that_nobody_answers_at_is_not_verified(verify: Callable[..., Finished]) -> None:
    done = verify("--url", f"http://127.0.0.1:{free_port()}")
    assert done.code == 3 and "nobody answers" in done.err and "Traceback" not in done.err


def test_a_version_that_is_not_there_is_wrong_input(verify: Callable[..., Finished]) -> None:
    done = verify("--url", "http://127.0.0.1:1", "--version", "9")
    assert done.code == 2 and "has versions 1, 2" in done.err


def test_what_is_no_address_is_wrong_input(verify: Callable[..., Finished]) -> None:
    done = verify("--url", "nonsense")
    assert done.code == 2 and "--url 'nonsense' is no address" in done.err


def test_while_a_canary_runs_one_address_is_two_versions(released: Path, verify: Callable[..., Finished]) -> None:
    started = run_ostinato(released, "canary", MODEL, "--percent", "10", "--version", "1")
    assert started.code == 0, started.err
    try:
        done = verify("--url", "http://127.0.0.1:1")
        assert done.code == 2 and "version 1 of demand-forecaster is a canary" in done.err
    finally:
        run_ostinato(released, "canary", MODEL, "--abort")


def test_a_model_that_is_not_live_is_wrong_input(ostinato: Callable[..., Finished]) -> None:
    assert "is not live yet" in ostinato("verify", MODEL, "--url", "http://127.0.0.1:1", expect=2).err


@pytest.mark.parametrize(
    ("name", "words"),
    [("sample.json", "the sample in the run of version 2"), ("verdict.json", "the verdict in the run of version 2")],
)
def test_evidence_that_somebody_changed_is_trusted_no_more(
    released: Path, verify: Callable[..., Finished], name: str, words: str
) -> None:
    kept = {file: file.read_bytes() for file in released.glob(f".ostinato/artifacts/**/{name}")}
    assert len(kept) == 2
    try:
        for file, content in kept.items():
            file.write_text(json.dumps(json.loads(content) | {"model": "another"}))
        done = verify("--url", "http://127.0.0.1:1")
        assert done.code == 1 and words in done.err, done.err
    finally:
        for file, content in kept.items():
            file.write_bytes(content)
