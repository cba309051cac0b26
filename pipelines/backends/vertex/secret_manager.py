"""Secrets for a step on Vertex AI, which can't mount them: `python -m` this module with the command behind it.

For each variable `NAME_SECRET=projects/P/secrets/S/versions/V` the version's value is read from Google's Secret
Manager and becomes `NAME` in the environment of the command, which takes this process over. It is nowhere else.
"""

import base64
import binascii
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from delivery.retry import RetryPolicy, is_transient, retrying
from training.errors import InputError, OstinatoError

if TYPE_CHECKING:
    import requests

ENDPOINT = "OSTINATO_SECRET_MANAGER"
"""Address instead of https://secretmanager.googleapis.com; a region's own, for example."""
VERSION = re.compile(r"projects/[^/]+/secrets/[^/]+/versions/[^/]+")
RETRIES = RetryPolicy(attempts=4, pause_s=2.0)
REQUEST_S = 20.0


def secrets_of(environment: Mapping[str, str], policy: RetryPolicy = RETRIES) -> dict[str, str]:
    """The values that the environment names, by the variables that they belong in.

    Raises InputError for a name that is wrong or a value that can't be in a variable, OstinatoError if Secret Manager
    can't be used.
    """
    named = {
        name.removesuffix("_SECRET"): version
        for name, version in sorted(environment.items())
        if name.endswith("_SECRET") and VERSION.fullmatch(version)
    }
    if not named:
        return {}
    address = environment.get(ENDPOINT, "https://secretmanager.googleapis.com").rstrip("/")
    session = _session(address)
    return {name: _value(session, address, name, version, policy) for name, version in named.items()}


def _session(address: str) -> Any:
    """Raises InputError for an address that would tell the token to others, and where there are no credentials."""
    import requests

    from delivery.addresses import is_loopback

    parts = urlsplit(address)
    if is_loopback(parts.netloc):
        return requests.Session()
    if parts.scheme != "https":
        raise InputError(f"{ENDPOINT} {address!r}: everybody on the way would read the secrets; give an https:// URL")
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError
    from google.auth.transport.requests import AuthorizedSession

    try:
        own, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    except DefaultCredentialsError as error:
        raise InputError(f"Secret Manager: there are no Google credentials here: {error}") from error
    return AuthorizedSession(own)


def _value(session: Any, address: str, name: str, version: str, policy: RetryPolicy) -> str:
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    tries = retrying(policy, lambda outcome: isinstance(outcome, GoogleAuthError) or is_transient(outcome))
    try:
        answer = tries(session.get, f"{address}/v1/{version}:access", timeout=REQUEST_S)
    except (RequestException, GoogleAuthError) as error:
        problem = f"can't be reached: {error}"
    else:
        if answer.status_code == 200:
            return _text(answer, name, version)
        problem = f"answered {answer.status_code}: {_said(answer)}"
        if answer.status_code != 429 and answer.status_code < 500:
            raise InputError(f"{name}_SECRET: Secret Manager {problem}{_mended(answer.status_code, version)}")
    count = tries.statistics["attempt_number"]
    raise OstinatoError(f"{name}_SECRET={version}: Secret Manager {problem} (tried {count} times)")


def _text(answer: "requests.Response", name: str, version: str) -> str:
    """The value, without the line end that an editor or `echo` left. Raises as :func:`secrets_of`."""
    try:
        data = base64.b64decode(answer.json()["payload"]["data"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise OstinatoError(f"{name}_SECRET={version}: Secret Manager sent what is no secret") from error
    try:
        value = data.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}_SECRET={version}: the secret is no text") from error
    if not value or "\0" in value:
        raise InputError(f"{name}_SECRET={version}: the secret is empty, or has a NUL in it")
    return value


def _said(answer: "requests.Response") -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason


def _mended(status: int, version: str) -> str:
    if status == 403:
        secret = version.rpartition("/versions/")[0]
        return f"; grant the steps' service account roles/secretmanager.secretAccessor on {secret}"
    return f"; is {version} right?" if status == 404 else ""


def main(command: list[str]) -> int:
    """Become the command; only what stands in the way of it is returned, as an exit code."""
    if not command:
        print("usage: python -m pipelines.backends.vertex.secret_manager COMMAND...", file=sys.stderr)
        return InputError.exit_code
    try:
        os.environ.update(secrets_of(os.environ))
    except OstinatoError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
