"""Which forge a manifests remote is at: by its host, or by the setting `forge`; and with which token."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from delivery.connections import Connections
from delivery.forges.forge import Forge
from delivery.forges.rest import Kind, Place
from delivery.git.run import local_path, redact
from delivery.late import late
from training.errors import InputError

TOKEN, TOKEN_FILE = "OSTINATO_FORGE_TOKEN", "OSTINATO_FORGE_TOKEN_FILE"


FORGES = {
    "github": Kind(
        title="GitHub",
        client=late("delivery.forges.github", "GitHub"),
        root="/api/v3",
        scheme="Bearer ",
        scopes="read and write access to pull requests and contents of the repository (classic: scope repo)",
        hosts=("github.com", "ssh.github.com"),
    ),
    "gitlab": Kind(
        title="GitLab",
        client=late("delivery.forges.gitlab", "GitLab"),
        root="/api/v4",
        scheme="Bearer ",
        scopes="the scope api, and the role Developer or above in the project",
        hosts=("gitlab.com", "altssh.gitlab.com"),
    ),
    "gitea": Kind(
        title="Gitea",
        client=late("delivery.forges.gitea", "Gitea"),
        root="/api/v1",
        scheme="token ",
        scopes="the scopes write:repository and write:issue, and write access to the repository",
        hosts=("gitea.com", "codeberg.org"),
    ),
}
KINDS = (*FORGES, "none")


def forge_of(remote: str, setting: str = "") -> Forge | None:
    """The forge of a manifests remote, None where there is none: a path, an unknown host, or the setting `none`.

    setting: see :func:`check_forge`. Nothing is asked over the network, but for a GitHub
    App's token. Raises InputError for a wrong setting, a
    remote that names no repository of that forge, or a token's file that can't be read.
    """
    kind, api = check_forge(setting)
    address = _address(remote)
    if kind == "none" or (address is None and not kind):
        return None
    if address is None:
        raise InputError(f"forge is {setting!r}, but manifests remote {remote} is a path, which no forge has")
    scheme, host, path = address
    kind = kind or _known(host)
    if not kind:
        return None
    api = api or _api(kind, scheme, host)
    return FORGES[kind].client(Place(FORGES[kind], api, _repository(kind, api, path, remote), *_token(kind, remote)))


def connected_forge(connections: Connections) -> Forge | None:
    """The forge of the manifests repository, None without one; see :func:`forge_of`."""
    return forge_of(connections.manifests_remote, connections.forge)


def check_forge(setting: str) -> tuple[str, str]:
    """Kind and root of the API of the setting `forge`, each "" for what the remote's host says.

    It is `github`, `gitlab`, `gitea` (Forgejo too) or `none`, optionally with the forge's address, such as
    `gitea=http://127.0.0.1:3000`. Raises InputError for anything else.
    """
    kind, given, url = setting.partition("=")
    if setting and kind not in KINDS:
        raise InputError(f"forge is {setting!r}; give one of {', '.join(KINDS)}")
    if not given:
        return kind, ""
    parts = urlsplit(url)
    if kind == "none" or parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise InputError(
            f"forge is {redact(setting)!r}; give the forge's address, such as {kind}=https://{kind}.example.org"
        )
    if parts.username or parts.password:
        raise InputError(f"forge is {redact(setting)!r} with a user or token in it; give the token in {TOKEN}")
    url = url.rstrip("/")
    root = FORGES[kind].root
    bare = kind == "github" and parts.hostname.startswith("api.")
    return kind, url if url.endswith(root) or bare else url + root


def _address(remote: str) -> tuple[str, str, str] | None:
    """Scheme, host (with the port of http) and path of a remote, None for one on this machine's disk."""
    if local_path(remote) is not None:
        return None
    if "://" in remote:
        parts = urlsplit(remote)
        host = parts.hostname or ""
        web = parts.scheme in ("http", "https")
        port = f":{parts.port}" if parts.port and web else ""
        return (parts.scheme if web else "https", host.lower() + port, parts.path)
    host, _, path = remote.partition(":")
    return ("https", host.rpartition("@")[2].lower(), path)


def _known(host: str) -> str:
    """Kind of a public forge, "" for a host that could be any."""
    if host.endswith(".ghe.com"):
        return "github"
    return next((name for name, kind in FORGES.items() if host in kind.hosts), "")


def _api(kind: str, scheme: str, host: str) -> str:
    if kind == "github" and host in FORGES[kind].hosts:
        return "https://api.github.com"
    if host.endswith(".ghe.com"):
        return f"https://api.{host}"
    if kind == "gitlab" and host in FORGES[kind].hosts:
        host = "gitlab.com"
    return f"{scheme}://{host}{FORGES[kind].root}"


def _repository(kind: str, api: str, path: str, remote: str) -> str:
    """`owner/name`; at GitLab the whole path of groups. Raises InputError if the remote does not name one."""
    prefix = urlsplit(api).path.removesuffix(FORGES[kind].root)
    parts = path.strip("/").removesuffix(".git").removeprefix(prefix.strip("/")).strip("/").split("/")
    if kind != "gitlab":
        parts = parts[-2:]
    if len(parts) < 2 or not all(re.fullmatch(r"[\w.+-]+", part) and part.strip(".") for part in parts):
        raise InputError(
            f"manifests remote {redact(remote)} names no repository that {kind} has; its path is OWNER/NAME. "
            "With forge = none the release branch alone is pushed"
        )
    return "/".join(parts)


def _token(kind: str, remote: str) -> tuple[str, str]:
    """The token and where it was found; "" and how to give one. Raises InputError for a file that can't be read."""
    from delivery.git.credentials import forge_token

    own = f"{kind.upper()}_TOKEN"
    if token := os.environ.get(TOKEN, "").strip():
        return _check(token, TOKEN), TOKEN
    if file := os.environ.get(TOKEN_FILE):
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{TOKEN_FILE} is {file}, which can't be read: {error}") from error
        if not token:
            raise InputError(f"{TOKEN_FILE} is {file}, which is empty")
        return _check(token, f"{TOKEN_FILE} ({file})"), f"{TOKEN_FILE} ({file})"
    if token := os.environ.get(own, "").strip():
        return _check(token, own), own
    if kind == "github" and (token := forge_token(remote)):
        return token, "git's own login (OSTINATO_GIT_TOKEN, OSTINATO_GIT_TOKEN_FILE or the GitHub App)"
    return "", f"set {TOKEN}, {TOKEN_FILE} or {own}, or forge = none to push the release branch alone"


def _check(token: str, source: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise InputError(f"{source} holds no token: there are spaces, line breaks or other signs in it")
    return token
