"""Talking to an image registry: who we are, time limits, and one clear message for each way it can say no."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from delivery.addresses import is_loopback, reason, signed_with
from delivery.retry import RetryPolicy, is_transient, retrying
from delivery.stores.image_credentials import DOCKER_HUB, Credentials, credentials
from training.errors import OstinatoError

if TYPE_CHECKING:
    import requests

CONNECT_S, READ_S = 5.0, 300.0
"""A registry may read a whole layer again before it answers."""
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class ImageSession:
    """Requests about one repository. Nobody's credentials are sent before the registry asks for some."""

    def __init__(self, host: str, name: str) -> None:
        import requests

        self.host, self.name = host, name
        address = "registry-1.docker.io" if host == DOCKER_HUB else host
        self.url = f"{'http' if is_loopback(address) else 'https'}://{address}/v2/{name}"
        self._requests = requests.Session()
        self._requests.headers["Accept-Encoding"] = "identity"
        self._authorization = ""

    def ask(
        self,
        method: str,
        url: str,
        fine: tuple[int, ...],
        body: bytes | Path = b"",
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> "requests.Response":
        """The answer, with a status among the ``fine`` ones, else OstinatoError. Authenticates when asked to."""
        import requests

        for attempt in (1, 2):
            try:
                answer = retrying(RetryPolicy(), is_transient)(self._send, method, url, body, headers or {}, stream)
            except requests.exceptions.SSLError as error:
                fix = "Set REQUESTS_CA_BUNDLE to the authority that signed it"
                raise self.error(f"has a TLS certificate that is not trusted: {reason(error)}", fix) from error
            except requests.exceptions.RequestException as error:
                raise self.error(f"can't be reached: {reason(error)}", "Check the address and the network") from error
            if answer.status_code in fine:
                return answer
            challenge = answer.headers.get("WWW-Authenticate", "")
            if answer.status_code != 401 or attempt == 2 or not self._authenticate(challenge):
                break
        raise self._refusal(method, answer)

    def error(self, what: str, fix: str) -> OstinatoError:
        return OstinatoError(f"image registry {self.host} (repository {self.name}) {what}. {fix}")

    def _send(
        self, method: str, url: str, body: bytes | Path, headers: dict[str, str], stream: bool
    ) -> "requests.Response":
        ours = urlsplit(url).netloc == urlsplit(self.url).netloc
        sign = signed_with(self._authorization if ours else "")
        options: dict[str, Any] = {"headers": headers, "auth": sign, "timeout": (CONNECT_S, READ_S), "stream": stream}
        if isinstance(body, Path):
            with body.open("rb") as file:
                return self._requests.request(method, url, data=file, **options)
        answer = self._requests.request(method, url, data=body or None, **options)
        if not answer.ok:
            _ = answer.content  # the reasons, also where a good answer is read piece by piece
        return answer

    def _authenticate(self, challenge: str) -> bool:
        """Answer the registry's challenge; whether there is something to try again with."""
        scheme, _, rest = challenge.partition(" ")
        known = credentials(self.host, self.name)
        if scheme.lower() == "bearer":
            self._authorization = f"Bearer {self._token(dict(_PARAMETER.findall(rest)), known)}"
            return True
        if scheme.lower() == "basic" and known and self._authorization != known.basic:
            self._authorization = known.basic
            return True
        return False

    def _token(self, challenge: dict[str, str], known: Credentials | None) -> str:
        """A token from the server that the challenge names (https://distribution.github.io/distribution/spec/auth)."""
        import requests

        realm = challenge.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
            raise self.error(f"sends us for a token to {realm!r}", "Only https:// is trusted with credentials")
        asked = {key: challenge[key] for key in ("service", "scope") if key in challenge}
        options: dict[str, Any] = {"auth": signed_with(known.basic if known else ""), "params": asked}
        if known and known.identity_token:
            form = {"grant_type": "refresh_token", "client_id": "ostinato", "refresh_token": known.identity_token}
            options = {"auth": signed_with(""), "data": asked | form}
        method = "POST" if "data" in options else "GET"
        try:
            send = retrying(RetryPolicy(), is_transient)
            answer = send(self._requests.request, method, realm, timeout=(CONNECT_S, READ_S), **options)
            body = answer.json() if answer.ok else {}
        except requests.exceptions.RequestException as error:
            raise self.error(f"its token server {realm} can't be used: {reason(error)}", "Run again") from error
        token = body.get("token") or body.get("access_token")
        if not token:
            raise self._refused_credentials(f"its token server answered HTTP {answer.status_code}", known)
        return token

    def _refusal(self, method: str, answer: "requests.Response") -> OstinatoError:
        description = _describe_answer(answer)
        if answer.status_code == 401:
            return self._refused_credentials(description, credentials(self.host, self.name))
        if answer.status_code == 403:
            right = "pull" if method in ("GET", "HEAD") else "push"
            return self.error(f"does not allow this: {description}", f"The credentials need the right to {right}")
        if answer.status_code == 404 or "NAME_" in description:
            return self.error(
                f"does not have what is needed: {description}", "Check the name, or make the repository first"
            )
        if "DIGEST_INVALID" in description or "SIZE_INVALID" in description:
            return self.error(f"received other bytes than were sent: {description}", "A proxy on the way is damaged")
        return self.error(f"answered {description} to {method}", "Run again later, or ask those who run it")

    def _refused_credentials(self, description: str, known: Credentials | None) -> OstinatoError:
        why = "refuses the credentials that it got" if known else "wants credentials"
        where = "DOCKER_CONFIG (a folder) or REGISTRY_AUTH_FILE says where they are"
        return self.error(f"{why}: {description}", f"`docker login {self.host}` writes them; {where}")


def _describe_answer(answer: "requests.Response") -> str:
    """Status, and the registry's own codes and messages."""
    try:
        errors = json.loads(answer.content).get("errors", [])
        words = "; ".join(f"{error.get('code')}: {error.get('message')}" for error in errors)
    except (ValueError, AttributeError):
        words = ""
    return f"HTTP {answer.status_code} {words}".strip()[:300]
