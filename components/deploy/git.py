"""Running git: a quiet and repeatable environment, time-outs, and one clear message for each way a remote can fail."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from training.errors import InputError, OstinatoError

TIMEOUT = "OSTINATO_GIT_TIMEOUT"
DEFAULT_TIMEOUT_S = 60.0

_OF_ANOTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
_OF_ANOTHER_REPOSITORY += ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE")
_TOKEN = re.compile(r"^(gh[pousr]_|github_pat_|glpat-|gldt-)")
_USERINFO = re.compile(r"(?<=://)[^/@\s'\"]+@")


class LostRace(Exception):
    """Another writer was faster: read again and try again."""


class RemoteUnavailable(OstinatoError):
    """The remote did not answer, or answered that it can't now. The outcome of a push is then unknown."""


def redact(text: str) -> str:
    """The text without user names, passwords and tokens in URLs."""
    return _USERINFO.sub("", text)


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
            "show it; use the URL without it, and a git credential helper or GIT_ASKPASS for the secret"
        )
    return remote


def local_path(remote: str) -> Path | None:
    """The folder that a local remote names, None for a URL to somewhere else."""
    if remote.startswith("file://"):
        return Path(remote.removeprefix("file://"))
    scp_like = re.match(r"^[^/]+:", remote)
    return None if "://" in remote or scp_like else Path(remote).absolute()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's environment (credential helpers, SSH and proxies keep working), never asking, speaking English."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OF_ANOTHER_REPOSITORY and not name.startswith("GIT_TRACE") and name != "GIT_CURL_VERBOSE"
    }
    who = {"GIT_AUTHOR_NAME": "Ostinato", "GIT_AUTHOR_EMAIL": "ostinato@localhost"}
    for name, default in who.items():
        kept.setdefault(name, default)
        kept.setdefault(name.replace("AUTHOR", "COMMITTER"), kept[name])
    return kept | {"LC_ALL": "C", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", **(extra or {})}


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
) -> bytes:
    """Run one git command on ``git_dir`` and return its output.

    ``remote`` names the other side in errors. Raises LostRace, RemoteUnavailable, InputError or OstinatoError with
    the one message that fits what git said. The command and its helpers end when this does, also on Ctrl-C.
    """
    command = ["git", f"--git-dir={git_dir}", *arguments]
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


_LOST = r"stale info|non-fast-forward|fetch first|failed to update ref|cannot lock ref|incorrect old value|needs force"
_LOST += r"|reference already exists|reference already set|remote ref updated since checkout"
_REASONS: Sequence[tuple[str, type[Exception], str]] = (
    (
        r"hook declined|protected branch|prohibited|denied by|GH00\d",
        OstinatoError,
        "refused the commit; the live state is unchanged. Ask its owners, or release by pull request "
        "(release.mode: pull-request)",
    ),
    (
        r"branch is currently checked out",
        InputError,
        "has the branch checked out; give a bare repository (git clone --bare)",
    ),
    (
        r"Authentication failed|could not read (Username|Password)|error: 401",
        OstinatoError,
        "wants credentials, or refuses the ones it got; set up a git credential helper or GIT_ASKPASS for it",
    ),
    (
        r"error: 403|Permission denied \(|access denied|not allowed to push|Write access .* not granted",
        OstinatoError,
        "does not allow this; the credentials need read and write access to it",
    ),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        OstinatoError,
        "has an SSH host key that is not the known one; check it and add it to known_hosts",
    ),
    (
        r"insufficient permission|[Rr]ead-only file ?system|Permission denied|[Nn]o space left|unpacker error",
        OstinatoError,
        "can't be written; check the permissions and free space of it. Nothing was released",
    ),
    (
        r"dubious ownership",
        InputError,
        "belongs to another user; allow it with git config --global --add safe.directory PATH",
    ),
    (
        r"couldn't find remote ref|[Nn]o such remote ref|invalid refspec",
        InputError,
        "is empty or lacks the branch; push a first commit to its live branch main",
    ),
    (
        r"does not appear to be a git repository|not a git repository|repository .* not found|is this a git repository"
        r"|does not exist|[Rr]epository not found|bad config|not valid: ",
        InputError,
        "is not a git repository; give the path or URL of the manifests repository",
    ),
    (
        r"SSL certificate|certificate verify|server certificate",
        OstinatoError,
        "has a TLS certificate that is not trusted; set GIT_SSL_CAINFO to the authority that signed it",
    ),
)
_AWAY = (
    r"unable to access|resolve host|Connection|Failed to connect|timed out|hung up|early EOF|RPC failed|error: 5\d\d"
)
_AWAY += r"|unexpected disconnect|Could not read from remote|[Nn]etwork is unreachable|No route to host|Broken pipe"


def explain(remote: str, arguments: Sequence[str], said: str) -> Exception:
    """The error for what git said: which remote, what is wrong with it, the fix, and git's own last words."""
    where = redact(remote)
    lines = [line.strip() for line in redact(said).splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(remote:|error:|fatal:|!)", line) and "hint:" not in line]
    words = " | ".join(dict.fromkeys(telling or lines[-3:]))[:600] or "nothing"
    for pattern, kind, reason in _REASONS:
        if re.search(pattern, said):
            return kind(f"manifests remote {where} {reason}. git said: {words}")
    if re.search(_LOST, said):
        return LostRace(words)
    if re.search(_AWAY, said):
        return RemoteUnavailable(
            f"manifests remote {where} can't be reached; check the URL and the network. git said: {words}"
        )
    return OstinatoError(f"git {arguments[0]} on manifests remote {where} failed. git said: {words}")
