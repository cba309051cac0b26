"""What a release needs is tried before anything is computed, against real servers, and nothing is written."""

from pathlib import Path

import pytest
from harness.bike_specs import spec_with
from harness.candidates import bare_git
from harness.forges.dialects import DIALECTS
from harness.forges.stand_in import TOKEN, ForgeServer
from harness.servers import GitServer, running_mlflow

from delivery.connections import Connections
from delivery.git.repository import ensure_local_repository
from delivery.releases.preflight import preflight
from training.errors import InputError, OstinatoError

ROOT = Path(__file__).parents[2]
NAME = "demand-forecaster"


def tried(connections: Connections, mode: str = "direct", until: str = "deploy") -> str:
    return "\n".join(preflight(spec_with(), connections, mode, until))


@pytest.fixture
def remote(manifests: Path, git_server: GitServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a repository that a token can read and write."""
    bare_git(manifests, "config", "http.receivepack", "true")
    monkeypatch.setenv("OSTINATO_GIT_TOKEN", "t0k-f0r-tests")
    return git_server.url_of(manifests)


def test_what_works_is_said_and_nothing_is_written(
    remote: str, manifests: Path, git_server: GitServer, mlflow_server: str
) -> None:
    before = bare_git(manifests, "for-each-ref")
    sentences = tried(Connections(mlflow_server, remote))
    assert f"registry {mlflow_server} answers: {NAME} has no version yet" in sentences
    assert "will be served from the registry's storage: file:///" in sentences
    assert "takes pushes: main is at " in sentences
    assert bare_git(manifests, "for-each-ref") == before
    assert not [request for request in git_server.log if request.path.endswith("/git-receive-pack")]


def test_a_token_that_may_read_but_not_push_is_told_before_anything_is_trained(
    remote: str, manifests: Path, tracking_uri: str
) -> None:
    bare_git(manifests, "config", "http.receivepack", "false")
    with pytest.raises(OstinatoError, match="does not allow this; the credentials need read and write access"):
        tried(Connections(tracking_uri, remote))
    assert "can be read: main is at" in tried(Connections(tracking_uri, remote), until="evaluate")


def test_an_empty_repository_is_told(tmp_path: Path, git_server: GitServer, tracking_uri: str) -> None:
    empty = git_server.root / "empty.git"
    bare_git(empty, "init", "--bare", "--quiet", str(empty))
    with pytest.raises(OstinatoError, match="main"):
        tried(Connections(tracking_uri, git_server.url_of(empty)))


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    with pytest.raises(OstinatoError) as caught:
        tried(Connections(nobody, str(tmp_path / "gone.git")))
    assert nobody in str(caught.value) and "gone.git does not exist" in str(caught.value)


def test_a_registry_whose_files_no_cluster_can_fetch_is_told(manifests: Path, tmp_path: Path) -> None:
    with running_mlflow(tmp_path, "--artifacts-destination", str(tmp_path / "files")) as url:
        with pytest.raises(InputError, match=r"can't be served: .* Set OSTINATO_ARTIFACTS_DESTINATION"):
            tried(Connections(url, str(manifests)))
        assert "storage: s3://lake/models/0" in tried(Connections(url, str(manifests), "s3://lake/models"))


def test_a_forge_is_asked_where_a_pull_request_will_be_opened(
    git_server: GitServer, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = ensure_local_repository(git_server.root / "fleet" / "manifests.git", ROOT / "manifests")
    bare_git(repository, "config", "http.receivepack", "true")
    with ForgeServer(DIALECTS["gitea"], repository) as forge:
        connections = Connections(tracking_uri, git_server.url_of(repository), forge=f"gitea={forge.url}")
        monkeypatch.setenv("OSTINATO_FORGE_TOKEN", TOKEN)
        assert "the forge answers: 0 open pull requests" in tried(connections, "pull-request")
        monkeypatch.setenv("OSTINATO_FORGE_TOKEN", "another")
        with pytest.raises(OstinatoError, match="OSTINATO_FORGE_TOKEN"):
            tried(connections, "pull-request")
        assert "takes pushes" in tried(connections, "direct")
