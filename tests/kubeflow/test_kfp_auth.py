"""Who we are to Kubeflow: tokens, Google's proxy, Dex, and certificates of one's own."""

import ssl
from pathlib import Path

import pytest
from harness.certificates import Google, certificate
from harness.kubeflow.dex import PASSWORD, USER, Dex
from harness.kubeflow.server import TOKEN, KfpServer
from kubeflow.conftest import connect

from training.errors import InputError, OstinatoError

NAME = "OSTINATO_KUBEFLOW_TOKEN"


def test_a_token_is_sent_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with KfpServer(token=TOKEN) as server:
        monkeypatch.setenv(NAME, TOKEN)
        assert connect(server, auth="token").schedules() == []
        monkeypatch.setenv(NAME, "another-t0ken")
        with pytest.raises(InputError, match=r"401.*pipelines.kubeflow.org and not expired") as caught:
            connect(server, auth="token").schedules()
        assert "another-t0ken" not in str(caught.value)
        with pytest.raises(InputError, match=r"401.*kubeflow.auth is 'none': set kubeflow.auth"):
            connect(server).schedules()


def test_a_token_in_a_file_is_read_again_when_the_cluster_has_renewed_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    with KfpServer(token=TOKEN) as server:
        engine = connect(server, auth="token")
        assert engine.schedules() == []
        server.token = "renewed-t0ken"
        file.write_text("renewed-t0ken")
        assert engine.schedules() == []


def test_the_token_that_the_cluster_mounts_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "mounted"
    file.write_text(TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    with KfpServer(token=TOKEN) as server:
        assert connect(server, auth="token").schedules() == []


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, r"there is none: set OSTINATO_KUBEFLOW_TOKEN"),
        ({NAME: "a b"}, r"holds no token"),
        ({NAME: "a", f"{NAME}_FILE": "b"}, r"both .* are set"),
        ({f"{NAME}_FILE": "/no/such/token"}, r"OSTINATO_KUBEFLOW_TOKEN_FILE is '/no/such/token'"),
    ],
)
def test_a_token_that_is_none_is_told_before_anything_is_sent(
    kfp: KfpServer, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        connect(kfp, auth="token").schedules()


@pytest.mark.parametrize("kind", [{}, {"approval": False}, {"sign_in_page": True}])
def test_a_user_of_dex_gets_a_session_and_another_one_when_it_has_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: dict[str, bool]
) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    monkeypatch.setenv("OSTINATO_KUBEFLOW_USER", USER)
    monkeypatch.setenv("OSTINATO_KUBEFLOW_PASSWORD_FILE", str(tmp_path / "password"))
    dex = Dex(**kind)
    with KfpServer(dex=dex) as server:
        engine = connect(server, auth="dex")
        assert engine.schedules() == []
        assert dex.logins == 1
        dex.sessions.clear()
        assert engine.schedules() == []
        assert dex.logins == 2
        with pytest.raises(InputError, match=r"login or web page.*set kubeflow.auth"):
            connect(server).schedules()


def test_a_wrong_password_is_told_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_KUBEFLOW_USER", USER)
    monkeypatch.setenv("OSTINATO_KUBEFLOW_PASSWORD", "wr0ng-one")
    with KfpServer(dex=Dex()) as server:
        with pytest.raises(InputError, match=r"does not take OSTINATO_KUBEFLOW_USER 'robot@example.org'") as caught:
            connect(server, auth="dex")
        assert "wr0ng-one" not in str(caught.value)


def test_google_is_asked_for_a_token_of_the_proxys_audience_and_again_when_it_expires(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Google() as google, KfpServer() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.credentials(tmp_path)))
        engine = connect(server, auth="iap", client_id="12345.apps.googleusercontent.com")
        server.token = "not handed out yet"
        with pytest.raises(InputError, match=r"401.*roles/iap.httpsResourceAccessor"):
            engine.schedules()
        assert google.audiences == ["12345.apps.googleusercontent.com"]
        server.token = google.tokens[-1]
        assert engine.schedules() == []
        assert len(google.tokens) == 1
        google.status = 400
        with pytest.raises(OstinatoError, match=r"Google gave no identity token for 12345"):
            connect(server, auth="iap", client_id="12345").schedules()


def test_iap_without_a_service_account_names_the_variable(
    kfp: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(InputError, match=r"GOOGLE_APPLICATION_CREDENTIALS"):
        connect(kfp, auth="iap", client_id="12345")


def test_a_certificate_of_ones_own_is_trusted_by_its_file_alone(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    server = KfpServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server:
        endpoint = server.url.replace("http://", "https://")
        assert connect(server, endpoint=endpoint, ca_file=str(file)).schedules() == []
        with pytest.raises(InputError, match=r"certificate that is not trusted.*set kubeflow.ca_file"):
            connect(server, endpoint=endpoint).schedules()
