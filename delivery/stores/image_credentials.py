"""Who we are to an image registry: from the file that `docker login` and `podman login` write, and nowhere else."""

import base64
import binascii
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.errors import InputError, OstinatoError

AUTH_FILE, DOCKER_CONFIG = "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"
DOCKER_HUB = "docker.io"
HELPER_S = 30.0


@dataclass(frozen=True)
class Credentials:
    """User and password, or the identity token that some registries hand out instead."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """Value of the header for HTTP basic authentication."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def auth_file() -> Path | None:
    """The file with the credentials: REGISTRY_AUTH_FILE, or ``config.json`` in DOCKER_CONFIG, else in ``~/.docker``.

    None where there is none. Raises InputError if a variable names what does not exist.
    """
    folder = os.environ.get(DOCKER_CONFIG)
    named = os.environ.get(AUTH_FILE) or (str(Path(folder, "config.json")) if folder else "")
    path = Path(named) if named else Path.home() / ".docker" / "config.json"
    if path.is_file():
        return path
    if os.environ.get(AUTH_FILE):
        raise InputError(f"{AUTH_FILE} is {named!r}, which is no file; name the one that `docker login` wrote")
    return None


def credentials(host: str, name: str) -> Credentials | None:
    """What the file says for a repository, None where it says nothing: then the registry is asked as nobody.

    host: with the port. name: the longest entry that covers it wins, as in containers-auth.json(5). Raises InputError
    for a file that can't be used, OstinatoError for a credential helper that fails.
    """
    path = auth_file()
    if path is None:
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        helper = document.get("credHelpers", {}).get(host) or document.get("credsStore")
        entries: dict[str, Any] = document.get("auths", {})
        for key in _keys(host, name):
            entry = entries.get(key)
            if entry and (entry.get("auth") or entry.get("identitytoken")):
                return _entry(entry)
    except (ValueError, AttributeError, binascii.Error) as error:
        raise InputError(f"registry credentials {path} can't be used: {type(error).__name__} at {host}") from error
    return _from_helper(helper, _keys(host, "")[0]) if helper else None


def _keys(host: str, name: str) -> list[str]:
    parts = name.split("/") if name else []
    scoped = ["/".join([host, *parts[:count]]) for count in range(len(parts), 0, -1)]
    if host == DOCKER_HUB:
        return [*scoped, "https://index.docker.io/v1/", host]
    return [*scoped, host, f"https://{host}", f"https://{host}/v1/", f"https://{host}/v2/"]


def _entry(entry: dict[str, str]) -> Credentials:
    user, _, password = base64.b64decode(entry.get("auth", ""), validate=True).decode().partition(":")
    return Credentials(user, password, entry.get("identitytoken", ""))


def _from_helper(helper: str, server: str) -> Credentials | None:
    """Ask ``docker-credential-<helper>`` (https://docs.docker.com/reference/cli/docker/login/#credential-helpers)."""
    command = f"docker-credential-{helper}"
    try:
        process = subprocess.run([command, "get"], input=server, capture_output=True, text=True, timeout=HELPER_S)
    except FileNotFoundError as error:
        raise OstinatoError(f"{command} is not on PATH, but {auth_file()} names it for {server}") from error
    except subprocess.TimeoutExpired as error:
        raise OstinatoError(f"{command} did not answer within {HELPER_S:g} s for {server}") from error
    if process.returncode:
        if "credentials not found" in process.stdout:
            return None
        raise OstinatoError(f"{command} failed for {server} with exit code {process.returncode}; run it by hand")
    try:
        answer = json.loads(process.stdout)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError) as error:
        raise OstinatoError(f"{command} answered no user and secret for {server}") from error
    return Credentials(identity_token=secret) if user == "<token>" else Credentials(user, secret)
