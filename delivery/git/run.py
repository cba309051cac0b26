"""Running git: a quiet and repeatable environment, time-outs, and one clear message for each way a remote can fail."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from delivery.addresses import redact
from delivery.git.author import identity
from delivery.git.credential_helper import SERVER, TOKEN, TOKEN_FILE
from delivery.git.errors import RemoteUnavailable, explain
from training.errors import InputError, OstinatoError

TIMEOUT = "OSTINATO_GIT_TIMEOUT"
DEFAULT_TIMEOUT_S = 60.0

_OF_ANOTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
_OF_ANOTHER_REPOSITORY += ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE")
_TOKEN = re.compile(r"^(gh[pousr]_|github_pat_|glpat-|gldt-)")


def check_remote(remote: str) -> str:
    """The remote itself: a path, ``file://``, ``https://`` or SSH URL of a git repository.

    Raises InputError if it is empty, carries a password or token, or could be read as an option.
    """
    if not remote or remote.startswith("-") or any(ord(c) < 32 for c in remote):
        raise InputError(f"manifests remote {remote!r} is not a path or URL of a git repository")
    user = urlsplit(remote) if "://" in remote else None
    if user and (user.password is not None or _TOKEN.match(user.username or "")):
        raise InputError(
            f"manifests remote {redact(remote)} was given with a password or token in it, where logs and process lists "
            f"show it; use the URL without it, and {TOKEN} or {TOKEN_FILE} for the secret"
        )
    return remote


def local_path(remote: str) -> Path | None:
    """The folder that a local remote names, None for a URL to somewhere else."""
    if remote.startswith("file://"):
        return Path(remote.removeprefix("file://"))
    scp_like = re.match(r"^[^/]+:", remote)
    return None if "://" in remote or scp_like else Path(remote).absolute()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's environment (credential helpers, SSH and proxies keep working), never asking, speaking English.

    The token is not in it: only ``extra`` brings it, so that no hook of a local repository sees it.
    """
    refused = (*_OF_ANOTHER_REPOSITORY, "GIT_CURL_VERBOSE", TOKEN, TOKEN_FILE, SERVER)
    kept = {
        name: value for name, value in os.environ.items() if name not in refused and not name.startswith("GIT_TRACE")
    }
    kept |= identity(kept)
    quiet = {"GIT_TERMINAL_PROMPT": "0", "SSH_ASKPASS": ""}
    return kept | {"LC_ALL": "C", "LANGUAGE": "", **quiet, **(extra or {})}


def timeout_s() -> float:
    """Seconds that one git command may take: OSTINATO_GIT_TIMEOUT, else 60."""
    given = os.environ.get(TIMEOUT)
    if not given:
        return DEFAULT_TIMEOUT_S
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InputError(f"{TIMEOUT} is {given!r}; give a positive number of seconds, such as 60")
    return seconds


def git(
    git_dir: Path,
    *arguments: str,
    remote: str,
    feed: bytes = b"",
    extra: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> bytes:
    """Run one git command on ``git_dir`` and return its output.

    ``remote`` names the other side in errors, ``options`` are git's own, such as ``-c``. Raises LostRace,
    RemoteUnavailable, InputError or OstinatoError with the one message that fits what git said. The command and its
    helpers end when this does, also on Ctrl-C.
    """
    command = ["git", f"--git-dir={git_dir}", *options, *arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(extra),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise OstinatoError("git is not installed or not on PATH; install it, Ostinato releases through it") from error
    limit = timeout_s()
    try:
        out, err = process.communicate(feed, timeout=limit)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise RemoteUnavailable(
            f"manifests remote {redact(remote)} did not answer within {limit:g} s (git {arguments[0]}); "
            f"check the network, or raise {TIMEOUT}"
        ) from error
    if process.returncode:
        raise explain(remote, arguments, (out + err).decode(errors="replace"))
    return out
