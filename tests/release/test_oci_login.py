"""Who we are to an image registry, and what it may answer: real registries with passwords, tokens and TLS."""

import base64
import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.candidates import candidate
from harness.image_registries import (
    PASSWORD,
    USER,
    ImageRegistry,
    TokenServer,
    certificate_pem,
    key_pem,
    running_registry,
    self_signed,
    write_login,
)
from harness.loopback import LoopbackServer, Reply, Request

from delivery.models.folder import model_digest
from delivery.stores.fetch import download_folder
from delivery.stores.publish import publish
from training.errors import InputError, OstinatoError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return candidate(tmp_path / "candidate").model


def goes_there_and_back(model: Path, repository: str, tmp_path: Path) -> None:
    uri = publish(model, model_digest(model), repository, None)
    out = tmp_path / "out"
    out.mkdir()
    download_folder(uri, out)
    assert model_digest(out) == model_digest(model)


@pytest.mark.parametrize("variable", ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE"])
def test_user_and_password_come_from_the_file_that_docker_login_writes(
    password_registry: ImageRegistry, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    folder = write_login(tmp_path / "login", password_registry.host)
    monkeypatch.setenv(variable, str(folder / "config.json" if variable == "REGISTRY_AUTH_FILE" else folder))
    goes_there_and_back(model, password_registry.repository(), tmp_path)


def test_the_entry_of_a_repository_wins_over_the_one_of_its_host(
    password_registry: ImageRegistry, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_login(tmp_path / "login", password_registry.host, auth=base64.b64encode(b"a:b").decode())
    written = json.loads((folder / "config.json").read_text())
    good = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    written["auths"][f"{password_registry.host}/models"] = {"auth": good}
    (folder / "config.json").write_text(json.dumps(written))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    goes_there_and_back(model, password_registry.repository(), tmp_path)


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_credential_helper_is_asked_as_docker_asks_it(
    password_registry: ImageRegistry, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    helper = tmp_path / "bin" / "docker-credential-safe"
    helper.parent.mkdir()
    answer = json.dumps({"Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\nread host\n[ $host = {password_registry.host} ] && echo '{answer}'\n")
    helper.chmod(helper.stat().st_mode | stat.S_IEXEC)
    folder = write_login(tmp_path / "login", "elsewhere.example.org")
    value = "safe" if key == "credsStore" else {password_registry.host: "safe"}
    (folder / "config.json").write_text(json.dumps({key: value}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    with pytest.raises(OstinatoError, match="docker-credential-safe is not on PATH"):
        publish(model, model_digest(model), password_registry.repository(), None)
    monkeypatch.setenv("PATH", f"{helper.parent}:/usr/bin:/bin")
    goes_there_and_back(model, password_registry.repository(), tmp_path)


def test_without_credentials_or_with_wrong_ones_it_says_where_they_come_from(
    password_registry: ImageRegistry, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = r"`docker login 127\.0\.0\.1:\d+` writes them; DOCKER_CONFIG \(a folder\) or REGISTRY_AUTH_FILE"
    with pytest.raises(OstinatoError, match=rf"wants credentials: HTTP 401 UNAUTHORIZED: .*{where}"):
        publish(model, model_digest(model), password_registry.repository(), None)
    wrong = base64.b64encode(f"{USER}:t0psecret".encode()).decode()
    monkeypatch.setenv("DOCKER_CONFIG", str(write_login(tmp_path / "login", password_registry.host, auth=wrong)))
    with pytest.raises(OstinatoError, match="refuses the credentials that it got") as caught:
        publish(model, model_digest(model), password_registry.repository(), None)
    assert "t0psecret" not in str(caught.value) and wrong not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"auths": {"HOST": {"auth": "%%%"}}}', '{"auths": {"HOST": {"auth": "/w=="}}}']
)
def test_a_broken_file_of_credentials_is_named_without_what_it_holds(
    password_registry: ImageRegistry, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    folder = write_login(tmp_path / "login", password_registry.host)
    (folder / "config.json").write_text(text.replace("HOST", password_registry.host))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    with pytest.raises(InputError, match=r"registry credentials .*config\.json can't be used"):
        publish(model, model_digest(model), password_registry.repository(), None)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))
    with pytest.raises(InputError, match=r"REGISTRY_AUTH_FILE is .*none\.json', which is no file"):
        publish(model, model_digest(model), password_registry.repository(), None)


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    with TokenServer(tmp_path / "tokens") as server:
        yield server


@pytest.fixture
def token_registry(tokens: TokenServer, tmp_path: Path) -> Iterator[ImageRegistry]:
    """A registry that sends its clients to the token server."""
    token = {"realm": tokens.url, "service": "images", "issuer": "ostinato-tests"}
    with running_registry(
        tmp_path / "registry", auth={"token": {**token, "rootcertbundle": str(tokens.certificate)}}
    ) as registry:
        yield registry


@pytest.mark.parametrize("entry", ["password", "identity token"])
def test_a_registry_with_a_token_server_gets_a_token_for_what_is_done(
    token_registry: ImageRegistry,
    tokens: TokenServer,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry: str,
) -> None:
    login = {} if entry == "password" else {"auth": base64.b64encode(b"x:").decode(), "identitytoken": PASSWORD}
    monkeypatch.setenv("DOCKER_CONFIG", str(write_login(tmp_path / "login", token_registry.host, **login)))
    goes_there_and_back(model, token_registry.repository(), tmp_path)
    scopes = {frozenset(scope.rpartition(":")[2].split(",")) for scope in tokens.asked}
    assert scopes == {frozenset({"pull"}), frozenset({"pull", "push"})}, "no more than each request needs"
    assert all(scope.startswith("repository:models/bike-demand:") for scope in tokens.asked)


def test_a_token_that_may_only_pull_does_not_push(
    token_registry: ImageRegistry, tokens: TokenServer, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(write_login(tmp_path / "login", token_registry.host)))
    uri = publish(model, model_digest(model), token_registry.repository(), None)
    tokens.actions = ("pull",)
    other = candidate(tmp_path / "other", weight=2).model
    with pytest.raises(OstinatoError, match="refuses the credentials that it got: HTTP 401"):
        publish(other, model_digest(other), token_registry.repository(), None)
    assert publish(model, model_digest(model), token_registry.repository(), None) == uri


def test_a_token_server_that_knows_us_not_is_told_apart(token_registry: ImageRegistry, model: Path) -> None:
    with pytest.raises(OstinatoError, match="wants credentials: its token server answered HTTP 401"):
        publish(model, model_digest(model), token_registry.repository(), None)


def test_credentials_are_not_sent_to_a_token_server_over_plain_http(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens.pem").write_bytes(certificate_pem(self_signed("tokens")[1]))
    token = {"realm": "http://tokens.example.org/token", "service": "images", "issuer": "nobody"}
    auth = {"token": {**token, "rootcertbundle": str(tmp_path / "tokens.pem")}}
    with running_registry(tmp_path / "registry", auth=auth) as registry:
        monkeypatch.setenv("DOCKER_CONFIG", str(write_login(tmp_path / "login", registry.host)))
        with pytest.raises(OstinatoError, match=r"sends us for a token to 'http://tokens\.example\.org/token'"):
            publish(model, model_digest(model), registry.repository(), None)


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return probe.getsockname()[0]


def test_other_machines_are_asked_over_tls_with_a_certificate_that_is_trusted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = own_address()
    key, certificate = self_signed("images", address)
    (tmp_path / "images.pem").write_bytes(certificate_pem(certificate))
    (tmp_path / "images.key").write_bytes(key_pem(key))
    tls = {"tls": {"certificate": str(tmp_path / "images.pem"), "key": str(tmp_path / "images.key")}}
    monkeypatch.setenv("NO_PROXY", address)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with running_registry(tmp_path / "registry", host=address, http=tls) as registry:
        with pytest.raises(OstinatoError, match=r"certificate that is not trusted: .* Set REQUESTS_CA_BUNDLE"):
            publish(model, model_digest(model), registry.repository(), None)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "images.pem"))
        goes_there_and_back(model, registry.repository(), tmp_path)


def test_other_machines_are_never_asked_over_plain_http(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = own_address()
    monkeypatch.setenv("NO_PROXY", address)
    with (
        running_registry(tmp_path / "registry", host=address) as registry,
        pytest.raises(OstinatoError, match=r"TLS certificate|can't be reached"),
    ):
        publish(model, model_digest(model), registry.repository(), None)


class Misleading(LoopbackServer):
    """Wants a password, is busy at first, and sends uploads to another host, as the spec allows it."""

    def __init__(self) -> None:
        super().__init__()
        self.uploads = ""
        self.full = False

    @property
    def got(self) -> list[tuple[str, str | None]]:
        return [(put.target, put.headers.get("Authorization")) for put in self.log if put.method == "PUT"]

    def answer(self, request: Request) -> Reply:
        if request.method == "POST":
            return Reply(202, headers={"Location": self.uploads})
        if request.method == "PUT":
            return Reply(201)
        if len(self.log) == 1:
            return Reply(503, headers={"Retry-After": "0"})
        if request.headers.get("Authorization"):
            return Reply(200 if request.method == "HEAD" and self.full else 404)
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="images"'})


@pytest.fixture
def misleading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misleading]:
    with Misleading() as server:
        monkeypatch.setenv("DOCKER_CONFIG", str(write_login(tmp_path / "login", f"127.0.0.1:{server.server_port}")))
        yield server


def test_a_registry_that_is_busy_is_asked_again_and_credentials_stay_with_it(
    model: Path, misleading: Misleading
) -> None:
    port = misleading.server_port
    misleading.uploads = f"http://localhost:{port}/elsewhere?state=1"
    publish(model, model_digest(model), f"oci://127.0.0.1:{port}/models", None)
    uploads = [(path, sent) for path, sent in misleading.got if path.startswith("/elsewhere")]
    assert len(uploads) == 2 and all(sent is None and "state=1&digest=sha256:" in path for path, sent in uploads)
    assert misleading.got[-1][1] is not None, "the manifest goes to the registry itself"


def test_layers_that_are_there_are_not_sent_again(model: Path, misleading: Misleading) -> None:
    misleading.full = True
    publish(model, model_digest(model), f"oci://127.0.0.1:{misleading.server_port}/models", None)
    assert [path.rpartition("/")[0] for path, _ in misleading.got] == ["/v2/models/manifests"]


def test_an_upload_over_plain_http_to_another_machine_is_refused(model: Path, misleading: Misleading) -> None:
    misleading.uploads = "http://uploads.example.org/x"
    with pytest.raises(OstinatoError, match=r"wants the upload over plain http\. Behind a proxy"):
        publish(model, model_digest(model), f"oci://127.0.0.1:{misleading.server_port}/models", None)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "DENIED", "does not allow this: HTTP 403 DENIED: no reason given. The credentials need the right to"),
        (400, "NAME_INVALID", "does not have what is needed: HTTP 400 NAME_INVALID"),
        (500, "UNKNOWN", "answered HTTP 500 UNKNOWN: no reason given to GET. Run again later"),
        (503, "UNAVAILABLE", "answered HTTP 503 UNAVAILABLE: no reason given to GET"),
    ],
)
def test_each_refusal_has_its_reason_and_its_fix(model: Path, status: int, code: str, said: str) -> None:
    error = Reply(status, {"errors": [{"code": code, "message": "no reason given"}]})
    with LoopbackServer(lambda request: error) as server, pytest.raises(OstinatoError) as caught:
        publish(model, model_digest(model), f"oci://127.0.0.1:{server.server_port}/models", None)
    assert said in str(caught.value) and caught.value.exit_code == 1
