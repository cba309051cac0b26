"""Tokens of a GitHub App, from a stand-in that checks each request as GitHub's REST documentation (2022-11-28) says."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.image_registries import key_pem
from harness.loopback import LoopbackServer, Reply, Request
from harness.places import writable_repository
from harness.servers import GitServer, free_port
from release.transactions import put, refs

from delivery.forges.choose import forge_of
from delivery.forges.forge import ForgeError
from delivery.git import github_app as git_github_app
from delivery.git.credentials import forge_token
from training.errors import InputError, OstinatoError

APP, INSTALLATION = "Iv23liTESTS", 4711


class GitHub(LoopbackServer):
    """The two routes of the App's login: which installation a repository has, and a token of it."""

    def __init__(self, public_key: Any) -> None:
        super().__init__()
        self.public_key = public_key
        self.asked: list[str] = []
        self.given: list[str] = []
        self.lasts_s = 3600
        self.failures: list[tuple[int, str]] = []
        """Answered first, one to a request."""

    def answer(self, request: Request) -> Reply:
        if request.path == "/api/v3/repos/fleet/manifests/pulls":
            known = request.headers.get("Authorization") == f"Bearer {self.given[-1]}"
            return Reply(200, []) if known else Reply(401, {"message": "Bad credentials"})
        self.asked.append(request.target)
        if self.failures:
            status, words = self.failures.pop(0)
            return Reply(status, {"message": words})
        assert request.headers["Accept"] == "application/vnd.github+json"
        assert request.headers["X-GitHub-Api-Version"] == "2022-11-28"
        if not self._knows(request):
            return Reply(401, {"message": "A JSON web token could not be decoded"})
        if (request.method, request.target) == ("GET", "/repos/fleet/manifests/installation"):
            return Reply(200, {"id": INSTALLATION, "app_slug": "releaser"})
        if (request.method, request.target) != ("POST", f"/app/installations/{INSTALLATION}/access_tokens"):
            return Reply(404, {"message": "Not Found"})
        if json.loads(request.body) != {"repositories": ["manifests"]}:
            words = "There is at least one repository that does not exist or is not accessible"
            return Reply(422, {"message": words})
        self.given.append(f"ghs_{len(self.given)}")
        ends = datetime.now(UTC) + timedelta(seconds=self.lasts_s)
        return Reply(201, {"token": self.given[-1], "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}"})

    def _knows(self, request: Request) -> bool:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            must = {"require": ["iat", "exp", "iss"]}
            claims = jwt.decode(token, self.public_key, algorithms=["RS256"], issuer=APP, options=must)
        except jwt.PyJWTError:
            return False
        return kind == "Bearer" and claims["iat"] <= time.time() - 30 and claims["exp"] <= time.time() + 600


@dataclass
class App:
    """A configured App, and the repository that it is installed on."""

    github: GitHub
    repository: Path
    url: str
    git_server: GitServer = field(repr=False)


@pytest.fixture(scope="module")
def key() -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def app(key: Any, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    repository = writable_repository(git_server.root / "fleet" / "manifests.git")
    file = tmp_path / "app key.pem"
    file.touch(0o600)
    file.write_bytes(key_pem(key))
    monkeypatch.setenv("OSTINATO_GITHUB_APP_ID", APP)
    monkeypatch.setenv("OSTINATO_GITHUB_APP_KEY_FILE", str(file))
    with GitHub(key.public_key()) as server:
        monkeypatch.setenv("OSTINATO_GITHUB_API_URL", server.url)
        yield App(server, repository, git_server.url_of(repository), git_server)


def test_the_app_commits_with_a_token_that_it_asks_for_once(app: App) -> None:
    app.git_server.credentials = ("x-access-token", "ghs_0")
    assert put(app.url, "a", b"1") and put(app.url, "a", b"2")
    assert app.github.asked == ["/repos/fleet/manifests/installation", "/app/installations/4711/access_tokens"]
    assert app.github.given == ["ghs_0"]


def test_a_configured_installation_is_not_looked_up(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_GITHUB_APP_INSTALLATION_ID", str(INSTALLATION))
    assert forge_token("git@github.example.org:fleet/manifests.git") == "ghs_0"
    assert app.github.asked == ["/app/installations/4711/access_tokens"]


def test_a_token_that_is_about_to_expire_is_replaced(app: App) -> None:
    app.github.lasts_s = git_github_app.SPARE_S - 10
    assert [forge_token(app.url), forge_token(app.url)] == ["ghs_0", "ghs_1"]
    app.github.lasts_s = git_github_app.SPARE_S + 60
    assert [forge_token(app.url), forge_token(app.url)] == ["ghs_2", "ghs_2"]


def test_a_login_in_netrc_does_not_replace_the_apps(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert forge_token(app.url) == "ghs_0"


def test_a_short_outage_of_github_is_waited_for(app: App) -> None:
    app.github.failures = [(502, "Bad Gateway"), (503, "Unavailable")]
    assert forge_token(app.url) == "ghs_0"


REFUSALS = [
    ({"OSTINATO_GITHUB_APP_ID": "12"}, "does not know the App, or the key is not the App's, or this machine's clock"),
    ({"OSTINATO_GITHUB_APP_INSTALLATION_ID": "12"}, "knows no such installation.*OSTINATO_GITHUB_APP_INSTALLATION_ID"),
]


@pytest.mark.parametrize(("environment", "words"), REFUSALS)
def test_a_wrong_id_is_one_error_and_nothing_is_pushed(
    app: App, environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    before = refs(app.repository)
    with pytest.raises(OstinatoError, match=words):
        put(app.url, "a", b"1")
    assert refs(app.repository) == before


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "this machine's clock"), (403, "suspended"), (422, "add the repository"), (500, "refused")],
)
def test_what_github_says_no_with_is_explained_in_its_own_words_too(app: App, status: int, words: str) -> None:
    app.github.failures = [(status, "so it said")] * 3
    with pytest.raises(OstinatoError, match=rf"{words}.*HTTP {status} so it said$") as caught:
        forge_token(app.url)
    assert "eyJ" not in str(caught.value)


def test_a_repository_that_the_app_is_not_installed_on_is_named(app: App) -> None:
    with pytest.raises(OstinatoError, match=r"/repos/fleet/other/installation: GitHub knows no such installation"):
        forge_token(app.url.replace("manifests", "other"))


def test_a_key_of_another_app_is_refused_by_github_and_a_broken_one_before(app: App, tmp_path: Path) -> None:
    file = tmp_path / "app key.pem"
    file.write_bytes(key_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    with pytest.raises(OstinatoError, match="the key is not the App's"):
        forge_token(app.url)
    file.write_text("-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n")
    with pytest.raises(InputError, match="no RSA private key in PEM") as caught:
        forge_token(app.url)
    assert "c2VjcmV0" not in str(caught.value)
    file.chmod(0o644)
    with pytest.raises(InputError, match=r"others can read \(mode 0644\); chmod 600"):
        forge_token(app.url)


def test_an_app_that_is_half_configured_or_misread_is_named(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="names no OWNER/REPOSITORY"):
        forge_token("https://github.com/manifests.git")
    monkeypatch.setenv("OSTINATO_GITHUB_APP_INSTALLATION_ID", "fleet")
    with pytest.raises(InputError, match="APP_INSTALLATION_ID is 'fleet'; it is the number"):
        forge_token(app.url)
    monkeypatch.setenv("OSTINATO_GITHUB_API_URL", "http://api.github.com")
    monkeypatch.delenv("OSTINATO_GITHUB_APP_INSTALLATION_ID")
    with pytest.raises(InputError, match="give an https:// URL"):
        forge_token(app.url)
    monkeypatch.delenv("OSTINATO_GITHUB_APP_ID")
    with pytest.raises(InputError, match="OSTINATO_GITHUB_APP_ID is not set"):
        forge_token(app.url)


def test_github_that_is_away_is_named_and_nothing_is_pushed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTINATO_GITHUB_API_URL", f"http://127.0.0.1:{free_port()}")
    before = refs(app.repository)
    with pytest.raises(OstinatoError, match=r"GitHub can't be asked for a token.*ConnectionError.*Nothing was"):
        put(app.url, "a", b"1")
    assert refs(app.repository) == before


@pytest.mark.parametrize(
    ("remote", "api"),
    [
        ("https://github.com/o/r.git", "https://api.github.com"),
        ("git@github.com:o/r.git", "https://api.github.com"),
        ("ssh://git@ssh.github.com:443/o/r.git", "https://api.github.com"),
        ("https://octo.ghe.com/o/r", "https://api.octo.ghe.com"),
        ("https://git.example.org/o/r/", "https://git.example.org/api/v3"),
    ],
)
def test_the_api_is_found_from_the_remote(remote: str, api: str) -> None:
    host, owner, name = git_github_app._repository(remote)
    assert (git_github_app._api(host), owner, name) == (api, "o", "r")


def test_pull_requests_are_opened_with_its_token_unless_another_is_given(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = f"github={app.github.url}"
    forge = forge_of(app.url, setting)
    assert forge and forge.has_token and forge.proposals("open") == []
    assert app.github.given == ["ghs_0"]
    monkeypatch.setenv("OSTINATO_FORGE_TOKEN", "another")
    other = forge_of(app.url, setting)
    with pytest.raises(ForgeError, match="refuses the token of OSTINATO_FORGE_TOKEN"):
        other.proposals("open") if other else None
