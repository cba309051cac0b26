"""What git said, as one clear message for each way a remote can fail: what is wrong, the fix, and git's own words."""

import re
from collections.abc import Sequence

from delivery.addresses import redact
from training.errors import InputError, OstinatoError


class LostRace(Exception):
    """Another writer was faster: read again and try again."""


class RemoteUnavailable(OstinatoError):
    """The remote did not answer, or answered that it can't now. The outcome of a push is then unknown."""


_LOST = r"stale info|non-fast-forward|fetch first|failed to update ref|cannot lock ref|incorrect old value|needs force"
_LOST += r"|reference already exists|reference already set|remote ref updated since checkout"
_REASONS: Sequence[tuple[str, type[Exception], str]] = (
    (
        r"hook declined|protected branch|prohibited|denied by|GH0\d\d",
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
        "wants credentials, or refuses the ones it got (a token may have expired, or been revoked); set "
        "OSTINATO_GIT_TOKEN or OSTINATO_GIT_TOKEN_FILE, or a git credential helper",
    ),
    (
        r"Permission denied \([a-z]",
        OstinatoError,
        "does not accept the SSH key; name one that it knows, without a passphrase, in OSTINATO_GIT_SSH_KEY_FILE, or "
        "let ssh-agent hold it",
    ),
    (
        r"error: 403|access denied|not allowed to push|Write access .* not granted",
        OstinatoError,
        "does not allow this; the credentials need read and write access to it",
    ),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        OstinatoError,
        "has an SSH host key that is not the known one; get the right one from its owners, and put it into "
        "OSTINATO_GIT_KNOWN_HOSTS_FILE, or known_hosts",
    ),
    (
        r"not allow request for unadvertised object",
        InputError,
        "leaves file contents out, and does not hand them out later; in it, git config uploadpack.allowAnySHA1InWant "
        "true, or let its SSH server take AcceptEnv GIT_PROTOCOL",
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
_TELLING = r"remote:|error:|fatal:|!|ssh:|Host key|No \S+ host key|Load key|.*: Permission denied \("
_AWAY = r"unable to access|resolve host|Connection|Failed to connect|timed out|hung up|early EOF|RPC failed"
_AWAY += r"|error: (429|5\d\d)"
_AWAY += r"|unexpected disconnect|Could not read from remote|[Nn]etwork is unreachable|No route to host|Broken pipe"


def explain(remote: str, arguments: Sequence[str], output: str) -> Exception:
    """The error for what git said: which remote, what is wrong with it, the fix, and git's own last words."""
    where = redact(remote)
    lines = [line.strip() for line in redact(output).splitlines() if line.strip()]
    telling = [line for line in lines if re.match(_TELLING, line) and "hint:" not in line]
    words = " | ".join(dict.fromkeys(telling or lines[-3:]))[:600] or "nothing"
    for pattern, kind, reason in _REASONS:
        if re.search(pattern, output):
            return kind(f"manifests remote {where} {reason}. git said: {words}")
    if re.search(_LOST, output):
        return LostRace(words)
    if re.search(_AWAY, output):
        return RemoteUnavailable(
            f"manifests remote {where} can't be reached; check the URL and the network. git said: {words}"
        )
    return OstinatoError(f"git {arguments[0]} on manifests remote {where} failed. git said: {words}")
