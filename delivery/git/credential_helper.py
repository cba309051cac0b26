"""git's credential helper for the manifests remote: `python -I -S credential_helper.py get` gives user and token.

git starts it, as a process of its own, when a server wants credentials. The token comes from the environment or from
the file that the environment names, and goes to git's pipe. It imports nothing of the project, so it is there at once.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

TOKEN, TOKEN_FILE, USER = "OSTINATO_GIT_TOKEN", "OSTINATO_GIT_TOKEN_FILE", "OSTINATO_GIT_USER"
SERVER = "OSTINATO_GIT_SERVER"
"""Set for the helper: scheme and host of the remote, the only one that gets the token."""
DEFAULT_USER = "x-access-token"
"""GitHub's name for whoever has a token; GitLab and Gitea take any."""


def token_of(environment: Mapping[str, str]) -> str:
    """The token, "" for none. Raises OSError or UnicodeDecodeError if its file can't be read."""
    if TOKEN in environment:
        return environment[TOKEN].strip()
    name = environment.get(TOKEN_FILE)
    return Path(name).read_text(encoding="utf-8").strip() if name else ""


def answer(question: str, environment: Mapping[str, str]) -> str:
    """What to tell git, which asks with lines such as ``host=git.example.org``; "" about any other server."""
    attributes = dict(line.split("=", 1) for line in question.splitlines() if "=" in line)
    server = f"{attributes.get('protocol')}://{attributes.get('host')}".lower()
    if server != environment.get(SERVER):
        return ""
    user = environment.get(USER) or attributes.get("username") or DEFAULT_USER
    return f"username={user}\npassword={token_of(environment)}\n"


if __name__ == "__main__" and sys.argv[1:] == ["get"]:
    sys.stdout.write(answer(sys.stdin.read(), os.environ))
