"""Who we are to an HTTPS remote: a token from the environment, from a mounted file, or of a GitHub App.

git gets it from a helper of our own (:mod:`delivery.git.credential_helper`), never in an argument, a URL or a file of
ours, and for the remote's own server alone. Without a token the user's own credential helpers stay.
"""

import os
import shlex
import sys
from urllib.parse import urlsplit

from delivery.addresses import redact
from delivery.git import credential_helper
from delivery.git.credential_helper import SERVER, TOKEN, TOKEN_FILE, USER
from delivery.secret import secret
from training.errors import InputError


def forge_token(remote: str) -> str:
    """The token for the forge that has the remote, over HTTPS or SSH; "" if none is configured.

    A GitHub App's is asked for when there is none or the last one is about to expire. Raises InputError for a wrong
    configuration, OstinatoError if GitHub does not give one.
    """
    token, name = secret(TOKEN), TOKEN if os.environ.get(TOKEN) else TOKEN_FILE
    if not os.environ.get(name):
        from delivery.git.github_app import app_token

        return app_token(remote)
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise InputError(f"{name} holds no token: it is empty, or has blanks or control characters in it")
    return token


def https_access(remote: str) -> tuple[list[str], dict[str, str]]:
    """Options and environment with which git can log in to an HTTP(S) remote; empty if no token is configured.

    Raises as :func:`forge_token`, and InputError if the token would go over the network in the clear.
    """
    token = forge_token(remote)
    if not token:
        return [], {}
    from delivery.addresses import is_loopback

    parts = urlsplit(remote)
    host = parts.netloc.rpartition("@")[2].lower()
    if parts.scheme.lower() != "https" and not is_loopback(host):
        raise InputError(
            f"manifests remote {redact(remote)} is plain HTTP, and everybody on the way would read the token; "
            f"give its https:// URL, or unset {TOKEN}, {TOKEN_FILE} and the GitHub App's variables"
        )
    server = f"{parts.scheme.lower()}://{host}"
    command = " ".join(shlex.quote(part) for part in (sys.executable, "-I", "-S", credential_helper.__file__))
    options = [f"credential.{server}.helper=", f"credential.{server}.helper=!{command}"]
    environment = {SERVER: server, "GIT_ASKPASS": ""}
    if os.environ.get(USER):
        environment[USER] = os.environ[USER]
    if os.environ.get(TOKEN_FILE):
        environment[TOKEN_FILE] = os.path.abspath(os.environ[TOKEN_FILE])
    else:
        environment[TOKEN] = token
    return [word for option in options for word in ("-c", option)], environment
