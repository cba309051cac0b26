"""The storage URI in a manifest: where the files are, also behind MLflow's proxy, and never where they are not."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import candidate, fetch_champion, model_spec
from harness.registered import Place
from harness.servers import running_mlflow
from release.served import first_served_line

from components.champion.steps import fetch_comparison
from delivery.models.folder import model_digest
from delivery.registry.lookup import registry
from delivery.releases.live import live
from delivery.releases.operations import promote
from delivery.releases.release import release
from delivery.stores.fetch import download_folder
from delivery.stores.storage_uri import map_proxied
from training.errors import InputError, OstinatoError

NAME = "bike-demand"


@dataclass(frozen=True)
class Proxied:
    """An MLflow server that hands out artifacts itself, and what it keeps them under."""

    tracking_uri: str
    root: Path

    @property
    def destination(self) -> str:
        return self.root.as_uri()


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    home = tmp_path_factory.mktemp("proxied")
    root = home / "kept" / "mlflow"
    with running_mlflow(home, "--serve-artifacts", "--artifacts-destination", root.as_uri()) as url:
        place = Place(url, home, "", home)
        assert [place.register(weight) for weight in (1, 2, 3)] == ["1", "2", "3"]
        yield Proxied(url, root)


@pytest.fixture
def behind(place: Place, proxied: Proxied) -> Place:
    """Three versions behind the proxy, and a manifests repository in which nothing is live."""
    return replace(place, tracking_uri=proxied.tracking_uri)


def release_proxied(place: Place, version: str, destination: str, **spec: Any):
    made = model_spec(**spec)
    return release(made, replace(place.connections, artifacts_destination=destination), version, "direct")


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_proxied_uri_is_mapped_to_the_servers_own_store_and_fetched_from_there(
    behind: Place, proxied: Proxied, tmp_path: Path, slash: str
) -> None:
    stored = registry(behind.tracking_uri).storage_uri(NAME, "1")
    assert stored.startswith("mlflow-artifacts:/")
    done = release_proxied(behind, "1", proxied.destination + slash)
    now = live(behind.remote, NAME)
    assert done.changed and now
    assert now.storage_uri == proxied.destination + stored.removeprefix("mlflow-artifacts:")
    found = fetch_champion(NAME, behind.remote, tmp_path / "out")
    assert found and model_digest(tmp_path / "out") == found.digest
    assert release_proxied(behind, "1", proxied.destination + slash).changed is False


def test_promote_takes_the_destination_too(behind: Place, proxied: Proxied) -> None:
    promote(model_spec(), replace(behind.connections, artifacts_destination=proxied.destination), "2")
    now = live(behind.remote, NAME)
    assert now and now.version == "2" and now.storage_uri.startswith(proxied.destination)


def test_without_the_destination_all_ways_out_are_named(behind: Place) -> None:
    with pytest.raises(InputError) as caught:
        release_proxied(behind, "1", "")
    for way in ("OSTINATO_ARTIFACTS_DESTINATION", "--artifacts-destination", "--no-serve-artifacts", "oci_repository"):
        assert way in str(caught.value)
    assert behind.commits() == 1


def test_a_destination_where_the_files_are_not_is_refused(behind: Place, tmp_path: Path) -> None:
    with pytest.raises(OstinatoError, match="is not there, so nothing was committed; is OSTINATO_ARTIFACTS_DEST"):
        release_proxied(behind, "1", (tmp_path / "elsewhere").as_uri())
    assert behind.commits() == 1


def test_what_was_committed_once_is_not_looked_at_again(behind: Place, proxied: Proxied, tmp_path: Path) -> None:
    shutil.copytree(proxied.root, tmp_path / "store")
    release_proxied(behind, "1", (tmp_path / "store").as_uri())
    shutil.rmtree(tmp_path / "store")
    assert release_proxied(behind, "1", (tmp_path / "store").as_uri()).changed is False
    with pytest.raises(OstinatoError, match="is not there, so nothing was committed"):
        release_proxied(behind, "2", (tmp_path / "store").as_uri())


def test_a_destination_where_another_model_is_is_refused(behind: Place, tmp_path: Path) -> None:
    path = registry(behind.tracking_uri).storage_uri(NAME, "1").removeprefix("mlflow-artifacts:/")
    (tmp_path / "store" / path).parent.mkdir(parents=True)
    candidate(tmp_path / "other", weight=9).model.rename(tmp_path / "store" / path)
    with pytest.raises(OstinatoError, match=r"has digest sha256:\w+, but the registry says sha256:\w+, so nothing was"):
        release_proxied(behind, "1", (tmp_path / "store").as_uri())
    assert behind.commits() == 1


@pytest.mark.parametrize(("destination", "extra"), [("s3://bucket/mlflow", "s3"), ("gs://bucket/mlflow", "gcs")])
def test_a_destination_that_can_not_be_read_from_here_is_an_error_that_names_the_fix(
    behind: Place, monkeypatch: pytest.MonkeyPatch, destination: str, extra: str
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(OstinatoError, match=rf"can't be looked at, so nothing was .* install ostinato\[{extra}\]"):
        release_proxied(behind, "1", destination)
    assert behind.commits() == 1


def test_files_without_the_right_to_read_them_are_an_error_too(behind: Place, proxied: Proxied, tmp_path: Path) -> None:
    path = registry(behind.tracking_uri).storage_uri(NAME, "1").removeprefix("mlflow-artifacts:/")
    (tmp_path / "store" / path).parent.mkdir(parents=True)
    (tmp_path / "store" / path).write_text("a file where a folder should be")
    with pytest.raises(OstinatoError, match=r"can't be looked at, so nothing was committed: .*the right to read it"):
        release_proxied(behind, "1", (tmp_path / "store").as_uri())
    assert behind.commits() == 1


@pytest.mark.parametrize(
    "text", ["/mnt/artifacts", "mlflow-artifacts:/", "s3://", "https://host/x", "s3://key:secret@bucket", "file://a/b"]
)
def test_a_destination_that_kserve_can_not_read_is_refused(behind: Place, text: str) -> None:
    with pytest.raises(InputError, match=r"artifacts_destination is .* give what the MLflow server was started with"):
        release_proxied(behind, "1", text)


@pytest.mark.parametrize("command", [("status",), ("promote", "demand-forecaster")])
def test_a_wrong_setting_is_named_before_anything_is_done(workspace: Path, ostinato: Any, command: Any) -> None:
    done = ostinato(*command, expect=2, OSTINATO_ARTIFACTS_DESTINATION="/mnt/artifacts")
    assert "artifacts_destination is '/mnt/artifacts'; give what" in done.err
    assert not (workspace / ".ostinato").exists()


@pytest.mark.parametrize("path", ["//host/1/m", "/", "/1/../../m", "/1//m"])
def test_a_proxied_uri_that_leads_elsewhere_is_not_mapped(path: str) -> None:
    with pytest.raises(InputError, match="is not mlflow-artifacts:/<path>"):
        map_proxied(f"mlflow-artifacts:{path}", "s3://bucket")


def test_a_comparison_is_fetched_through_the_server(behind: Place, proxied: Proxied, tmp_path: Path) -> None:
    release_proxied(behind, "1", proxied.destination)
    release_proxied(behind, "2", proxied.destination)
    live_one = candidate(tmp_path / "again", weight=2).model
    found = fetch_comparison(NAME, behind.connections, live_one, tmp_path / "out")
    assert found and found.version == "1" and model_digest(tmp_path / "out") == found.digest


def test_the_servers_files_arrive_with_their_folders_or_the_reason_is_named(proxied: Proxied, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    uri = registry(proxied.tracking_uri).storage_uri(NAME, "3")
    download_folder(uri, out, proxied.tracking_uri)
    assert model_digest(out) == model_digest(candidate(tmp_path / "same", weight=3).model)
    with pytest.raises(FileNotFoundError):
        download_folder("mlflow-artifacts:/no/such/model", out, proxied.tracking_uri)
    with pytest.raises(InputError, match="is read through the MLflow server, but the tracking URI is 'sqlite"):
        download_folder(uri, out, "sqlite:///x.db")
    with pytest.raises(OstinatoError, match=r"model registry http://127\.0\.0\.1:1 can't be used"):
        download_folder(uri, out, "http://127.0.0.1:1")


def test_reading_through_the_server_does_not_import_mlflow(proxied: Proxied, tmp_path: Path) -> None:
    import sys

    (tmp_path / "out").mkdir()
    uri = registry(proxied.tracking_uri).storage_uri(NAME, "1")
    code = (
        "import sys; from pathlib import Path; from delivery.stores.fetch import download_folder; "
        f"download_folder({uri!r}, Path({str(tmp_path / 'out')!r}), {proxied.tracking_uri!r}); "
        "assert not {'mlflow', 'pandas', 'fsspec'} & sys.modules.keys()"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "MLmodel").is_file()


@pytest.mark.parametrize("root", ["s3://bucket/mlflow/1/models/m-1/artifacts", "gs://bucket/1/models/m-1/artifacts"])
def test_the_uri_of_an_object_store_is_named_as_it_is(place: Place, root: str) -> None:
    with sqlite3.connect(place.tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET storage_location = ? WHERE version = 1", (root,))
    place.release("1")
    now = live(place.remote, NAME)
    assert now and now.storage_uri == root


def test_a_run_over_a_proxied_server_is_released_by_setting_and_served_from_where_the_manifest_says(
    workspace: Path, ostinato: Any, proxied: Proxied
) -> None:
    arguments = ("run", "demand-forecaster", "--param", "as_of=2011-12-01", "--json")
    server = {"OSTINATO_TRACKING_URI": proxied.tracking_uri}
    assert "OSTINATO_ARTIFACTS_DESTINATION" in ostinato(*arguments, expect=2, **server).err
    (workspace / "pyproject.toml").write_text(f'[tool.ostinato]\nartifacts_destination = "{proxied.destination}"\n')
    done = json.loads(ostinato(*arguments, expect=0, **server).out)
    again = json.loads(ostinato(*arguments, expect=0, **server).out)
    assert (done["version"], done["commit"]) == (again["version"], again["commit"])
    status = json.loads(ostinato("status", "demand-forecaster", "--json", expect=0, **server).out)[0]
    assert status["storage_uri"].startswith(f"{proxied.destination}/") and status["agree"]
    for options in ((), ("--version", done["version"])):
        told = first_served_line(workspace, *options, **server)
        assert told == f"demand-forecaster version {done['version']} on http"
