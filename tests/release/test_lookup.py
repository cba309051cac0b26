"""Reading the registry without MLflow says the same as MLflow, and a registry that is down is named, quickly."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.candidates import candidate, model_spec
from harness.loopback import LoopbackServer, Reply
from harness.odd_servers import Answer, hangs_up, odd_server, says
from harness.registered import Place
from harness.servers import free_port

from components.deploy.steps import deploy
from components.register.steps import register
from delivery.connections import Connections
from delivery.registry.client import ClientRegistry
from delivery.registry.lookup import registry
from delivery.registry.versions import CANDIDATE, Registry
from training.errors import InputError, OstinatoError

NAME = "bike-demand"


@pytest.fixture(params=["sqlite", "server"])
def place_of(request: pytest.FixtureRequest, place: Place) -> Place:
    if request.param == "sqlite":
        return place
    url = request.getfixturevalue("mlflow_server")
    served = Place(url, place.manifests, place.remote, place.work)
    for weight in (1, 2, 3):
        served.register(weight)
    return served


def everything(reader: Registry, digest: str) -> list[object]:
    versions = reader.versions(NAME)
    return [
        versions,
        reader.aliases(NAME),
        reader.versions(NAME, digest=digest),
        reader.version(NAME, "2"),
        [reader.storage_uri(NAME, one.version) for one in versions],
        reader.version(NAME, "99"),
        reader.version(NAME, "x"),
        reader.version("unknown", "1"),
        reader.versions("unknown"),
        reader.aliases("unknown"),
    ]


def test_the_quick_readers_agree_with_mlflows_client(place_of: Place) -> None:
    reader = registry(place_of.tracking_uri)
    digest = reader.versions(NAME)[1].digest
    quick = everything(reader, digest)
    assert quick == everything(ClientRegistry(place_of.tracking_uri), digest)
    assert [one.version for one in reader.versions(NAME, digest=digest)] == ["2"]
    assert reader.aliases(NAME)[CANDIDATE] == "3"
    assert all(uri.startswith("file:///") and uri.endswith("/artifacts") for uri in quick[4])  # pyright: ignore


def test_a_store_that_does_not_exist_yet_is_an_empty_registry_and_is_not_made(tmp_path: Path) -> None:
    reader = registry(f"sqlite:///{tmp_path}/new/mlflow.db")
    assert (reader.aliases(NAME), reader.versions(NAME), reader.version(NAME, "1")) == ({}, [], None)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def sick_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Answers like a proxy in front of a server that is down, or in front of something else."""
    sick = {"html": Reply(502, "<html>Bad gateway</html>"), "json": Reply(401, {"message": "try later"})}
    with LoopbackServer(lambda _: sick[request.param]) as server:
        yield server.url


@pytest.mark.parametrize(
    ("sick_server", "words"),
    [("html", "HTTP 502 with no JSON"), ("json", "HTTP 401: try later")],
    indirect=["sick_server"],
)
def test_a_server_that_answers_something_else_is_named(sick_server: str, words: str) -> None:
    with pytest.raises(OstinatoError, match=words) as caught:
        registry(sick_server).aliases(NAME)
    assert sick_server in str(caught.value)


def test_what_a_writer_left_that_was_killed_in_a_transaction_is_rolled_back_and_read(place: Place) -> None:
    file = place.tracking_uri.removeprefix("sqlite:///")
    before = registry(place.tracking_uri).versions(NAME)
    killed_writer = """
import os, signal, sqlite3, sys
store = sqlite3.connect(sys.argv[1])
store.execute("PRAGMA cache_size = 1")
store.execute("UPDATE model_version_tags SET value = 'half'")
store.execute("CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)"
              " SELECT i FROM n")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", killed_writer, file]).returncode == -signal.SIGKILL
    assert Path(f"{file}-journal").stat().st_size
    assert before and registry(place.tracking_uri).versions(NAME) == before


@pytest.mark.parametrize(
    "answer",
    [says(503, "<html>", "text/html"), says(500, {"message": "locked"}), hangs_up],
    ids=["an error page", "a JSON error", "no answer"],
)
def test_one_answer_that_fails_is_asked_for_again(answer: Answer) -> None:
    well = says(200, {"registered_model": {"aliases": [{"alias": "champion", "version": 3}]}})
    with odd_server(described=(answer, well)) as server:
        assert registry(server.url).aliases("bike-demand") == {"champion": "3"}


def test_a_registry_that_is_down_stops_register_and_deploy_quickly_and_changes_nothing(
    place: Place, tmp_path: Path
) -> None:
    uri = f"http://user:secret@127.0.0.1:{free_port()}"
    files = candidate(tmp_path / "candidate", 7)
    spec = model_spec().canonical_json()
    start = time.monotonic()
    for step in (
        lambda: register(spec, uri, "c0de", "run", files),
        lambda: deploy(spec, Connections(uri, place.remote), "1", "direct", "c0de", "run", files.verdict),
    ):
        with pytest.raises(
            OstinatoError, match=r"model registry http://127.0.0.1:\d+ can't be used.*tracking URI"
        ) as caught:
            step()
        assert "secret" not in str(caught.value)
    assert time.monotonic() - start < 10
    assert place.commits() == 1


@pytest.mark.parametrize("uri", ["", "mlruns", "file:///tmp/mlruns", "sqlite:///", "sqlite://"])
def test_a_tracking_uri_that_can_not_be_a_registry_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="sqlite:///<absolute path>"):
        registry(uri).aliases(NAME)


def test_a_registered_name_with_a_quote_is_refused_and_never_reaches_a_filter() -> None:
    with pytest.raises(InputError, match="has a quote in it"):
        registry(f"http://127.0.0.1:{free_port()}").versions("x' OR name = 'y")


def test_finding_that_nothing_changed_does_not_import_mlflow(place: Place, tmp_path: Path) -> None:
    files = candidate(tmp_path / "candidate", 3)
    place.release("3")
    from delivery.releases.reconcile import reconcile

    reconcile(place.connections)
    before = {path: path.stat().st_mtime_ns for path in place.work.rglob("*") if path.is_file()}
    code = f"""
import sys
from pathlib import Path
from components.register.steps import Candidate, register
from components.deploy.steps import deploy
from delivery.connections import Connections
files = Candidate(*(Path(p) for p in {[str(p) for p in vars(files).values()]!r}))
spec = {model_spec().canonical_json()!r}
version = register(spec, {place.tracking_uri!r}, "other-code", "other-run", files)
commit = deploy(spec, {place.connections!r}, version, "direct", "other-code", "other-run", files.verdict).commit
assert not {{"mlflow", "pandas", "polars", "kfp", "sqlalchemy"}} & sys.modules.keys()
print(version, commit)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    from harness.candidates import bare_git

    assert done.stdout.split() == ["3", bare_git(place.manifests, "rev-parse", "main")]
    assert {path: path.stat().st_mtime_ns for path in place.work.rglob("*") if path.is_file()} == before
    assert place.commits() == 2
    shutil.rmtree(tmp_path / "candidate")
