"""The SSH command of git: never asking, and with a key and a pinned host key where they are configured."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from delivery.git.key_files import check_file, check_private
from training.errors import InputError

KEY_FILE, KNOWN_HOSTS = "OSTINATO_GIT_SSH_KEY_FILE", "OSTINATO_GIT_KNOWN_HOSTS_FILE"
CONNECT_S = 15
_QUIET = ("BatchMode=yes", f"ConnectTimeout={CONNECT_S}")
_PINNED = ("StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "KnownHostsCommand=none")
_PINNED += ("UpdateHostKeys=no", "VerifyHostKeyDNS=no")


def ssh_environment(configured: Callable[[], str]) -> dict[str, str]:
    """What makes git's SSH connections ours. configured: reads git's own setting ``core.sshCommand``.

    With a key file or a known_hosts file the command is ours, over the user's ``~/.ssh/config``; else it is the
    user's, kept from asking. Raises InputError for a file that is missing, or a key that others can read.
    """
    key, hosts = os.environ.get(KEY_FILE), os.environ.get(KNOWN_HOSTS)
    if not key and not hosts:
        if os.environ.get("GIT_SSH_VARIANT", "ssh") not in ("ssh", "auto"):
            return {}
        program = os.environ.get("GIT_SSH")
        users = os.environ.get("GIT_SSH_COMMAND") or (shlex.quote(program) if program else configured()) or "ssh"
        if Path(shlex.split(users)[0]).stem.lower() in ("plink", "tortoiseplink"):
            return {}
        return {"GIT_SSH_COMMAND": f"{users} {_options(_QUIET)}"}
    options = [*_QUIET]
    if key:
        options += [f"IdentityFile={_escaped(KEY_FILE, check_private(KEY_FILE, key))}", "IdentitiesOnly=yes"]
    if hosts:
        options += [f"UserKnownHostsFile={_escaped(KNOWN_HOSTS, check_file(KNOWN_HOSTS, hosts))}", *_PINNED]
    return {"GIT_SSH_COMMAND": f"ssh {_options(options)}", "GIT_SSH_VARIANT": "ssh"}


def _options(settings: list[str] | tuple[str, ...]) -> str:
    return " ".join(f"-o {shlex.quote(setting)}" for setting in settings)


def _escaped(variable: str, path: Path) -> str:
    """A path as ssh_config(5) takes it: in double quotes, with its percent signs doubled."""
    text = str(path)
    if set(text) & set('"\\$\n'):
        raise InputError(f"{variable} is {text!r}; ssh can't take a path with a quote, a backslash or a dollar in it")
    return '"{}"'.format(text.replace("%", "%%"))
