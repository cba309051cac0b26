"""Installation tokens of a GitHub App: who releases is the App, and its right ends within the hour.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app: a JWT that the App's key signs,
good for minutes, is changed for a token that is good for an hour and for the manifests repository alone.
"""

import os
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from delivery.addresses import is_loopback, signed_with
from delivery.git.key_files import check_private
from delivery.retry import RetryPolicy, is_transient, retrying
from training.errors import InputError, OstinatoError

APP_ID, KEY_FILE = "OSTINATO_GITHUB_APP_ID", "OSTINATO_GITHUB_APP_KEY_FILE"
INSTALLATION_ID, API_URL = "OSTINATO_GITHUB_APP_INSTALLATION_ID", "OSTINATO_GITHUB_API_URL"
CONNECT_S, READ_S = 5.0, 30.0
BACK_S, GOOD_S = 60, 540
"""Of the JWT: GitHub's clock may be behind ours, and it takes none that is good for more than ten minutes."""
SPARE_S = 300
"""A token that ends sooner is not used any more: a transaction has to end before it."""
_REMOTE = re.compile(
    r"(?:[a-z+]+://)?(?:[^@/]+@)?(?P<host>[^/:]+(?::\d+(?=/))?)[:/](?P<owner>[^/]+)/(?P<name>[^/]+?)/?"
)


@dataclass(frozen=True)
class _Token:
    text: str = field(repr=False)
    ends: float
    """Seconds since 1970."""


_kept: dict[tuple[str, ...], _Token] = {}
"""By what it was asked for. In this process alone: it is nowhere on disk."""


def app_token(remote: str) -> str:
    """An installation token for the remote's repository, "" if no App is configured.

    Raises InputError for a wrong configuration, OstinatoError if GitHub can't be reached or refuses.
    """
    app, key_file, installation = (os.environ.get(name, "") for name in (APP_ID, KEY_FILE, INSTALLATION_ID))
    if not (app or key_file or installation):
        return ""
    if not (app and key_file):
        missing = KEY_FILE if app else APP_ID
        raise InputError(f"{missing} is not set; a GitHub App needs {APP_ID} and {KEY_FILE}")
    if installation and not installation.isdecimal():
        raise InputError(
            f"{INSTALLATION_ID} is {installation!r}; it is the number at the end of the URL of the App's installation"
        )
    host, owner, name = _repository(remote)
    request = (_api(host), app, installation, key_file, owner, name)
    token = _kept.get(request)
    if token is None or token.ends - time.time() < SPARE_S:
        token = _kept[request] = _request_token(*request)
    return token.text


def _repository(remote: str) -> tuple[str, str, str]:
    match = _REMOTE.fullmatch(remote.removesuffix("/").removesuffix(".git"))
    if not match:
        raise InputError(f"{APP_ID} is set, but manifests remote {remote} names no OWNER/REPOSITORY on GitHub")
    return match["host"], match["owner"], match["name"]


def _api(host: str) -> str:
    """Address of the REST API of github.com, of a tenant of ghe.com, or of an Enterprise Server."""
    given = os.environ.get(API_URL, "").rstrip("/")
    if given:
        parts = urlsplit(given)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
            raise InputError(f"{API_URL} is {given!r}; give an https:// URL, such as https://api.github.com")
        return given
    if host in ("github.com", "www.github.com", "ssh.github.com", "ssh.github.com:443"):
        return "https://api.github.com"
    return f"https://api.{host}" if host.endswith(".ghe.com") else f"https://{host.partition(':')[0]}/api/v3"


def _request_token(api: str, app: str, installation: str, key_file: str, owner: str, name: str) -> _Token:
    jwt = _jwt(app, check_private(KEY_FILE, key_file))
    if not installation:
        known = _request("GET", f"{api}/repos/{owner}/{name}/installation", jwt, 200)
        installation = str(known.get("id"))
    url = f"{api}/app/installations/{installation}/access_tokens"
    answer = _request("POST", url, jwt, 201, {"repositories": [name]})
    try:
        return _Token(answer["token"], datetime.fromisoformat(answer["expires_at"]).timestamp())
    except (KeyError, TypeError, ValueError) as error:
        raise OstinatoError(f"GitHub's answer at {url} holds no token; is {API_URL} the address of its API?") from error


def _jwt(app: str, key: Path) -> str:
    import jwt

    now = int(time.time())
    try:
        claims = {"iat": now - BACK_S, "exp": now + GOOD_S, "iss": app}
        return jwt.encode(claims, key.read_bytes(), algorithm="RS256")
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise InputError(
            f"{KEY_FILE} is {str(key)!r}, which is no RSA private key in PEM; GitHub's page of the App makes one"
        ) from error


_REFUSALS = {
    401: f"does not know the App, or the key is not the App's, or this machine's clock is wrong; check {APP_ID}, "
    f"{KEY_FILE} and `date`",
    403: "does not allow it; the installation may be suspended",
    404: f"knows no such installation of the App: install it on the manifests repository, or check {INSTALLATION_ID}",
    422: "does not give a token for the manifests repository; add the repository to the installation",
}


def _request(method: str, url: str, jwt: str, fine: int, body: dict[str, Any] | None = None) -> dict[str, Any]:
    import requests

    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    options: dict[str, Any] = {"auth": signed_with(f"Bearer {jwt}"), "timeout": (CONNECT_S, READ_S)}
    options |= {"json": body, "headers": headers, "allow_redirects": False}
    try:
        answer = retrying(RetryPolicy(), is_transient)(requests.request, method, url, **options)
    except requests.exceptions.RequestException as error:
        raise OstinatoError(
            f"GitHub can't be asked for a token of the App at {url}: {type(error).__name__}; check the network and "
            f"{API_URL}. Nothing was released"
        ) from error
    try:
        document = answer.json()
    except ValueError:
        document = None
    if answer.status_code == fine and isinstance(document, dict):
        return document
    message = str(document.get("message", ""))[:200] if isinstance(document, dict) else ""
    reason = _REFUSALS.get(answer.status_code, "refused it")
    raise OstinatoError(
        f"no token of the GitHub App from {url}: GitHub {reason}. It said: HTTP {answer.status_code} {message}".rstrip()
    )
