"""Signed commits: with an SSH key or a GPG key, as Argo CD and branch protection can require."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from delivery.git.key_files import check_file, check_private
from training.errors import InputError, OstinatoError

KEY, FORMAT = "OSTINATO_GIT_SIGNING_KEY", "OSTINATO_GIT_SIGNING_FORMAT"
_GPG_KEY = re.compile(r"(0x)?[0-9A-Fa-f]{8,40}!?|<?[^<>@/\s]+@[^<>/\s]+>?")
_ASKS = ("DISPLAY", "WAYLAND_DISPLAY", "GPG_TTY", "SSH_ASKPASS")


@dataclass(frozen=True)
class Signing:
    """How commits are signed; falsy where they are not."""

    key: str = ""
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.key)

    def failed(self, error: OstinatoError) -> OstinatoError:
        """The error for a commit that git could not sign."""
        message = str(error).partition("git said: ")[2] or str(error)
        return OstinatoError(
            f"the commit can't be signed with {KEY} {self.key!r}, so nothing was pushed; it must be there, without "
            f"a passphrase that somebody would have to type. git said: {message}"
        )


def signing() -> Signing:
    """What the environment says. Raises InputError for an unknown format, or a key that is no key."""
    key, given = os.environ.get(KEY, ""), os.environ.get(FORMAT, "")
    if given not in ("", "ssh", "openpgp"):
        raise InputError(f"{FORMAT} is {given!r}; give ssh or openpgp")
    if not key:
        if given:
            raise InputError(f"{FORMAT} is set, but {KEY} is not; name the key")
        return Signing()
    quiet = {name: "" for name in _ASKS if os.environ.get(name)} | {"SSH_ASKPASS_REQUIRE": "never"}
    path = Path(key).expanduser()
    if given == "openpgp" or (not given and not path.is_file() and _GPG_KEY.fullmatch(key)):
        if not _GPG_KEY.fullmatch(key):
            raise InputError(f"{KEY} is {key!r}; give a GPG fingerprint or e-mail address, or {FORMAT}=ssh for a file")
        return Signing(key, ("-c", "gpg.format=openpgp", "-c", f"user.signingKey={key}"), quiet)
    check = check_file if path.suffix == ".pub" else check_private
    return Signing(key, ("-c", "gpg.format=ssh", "-c", f"user.signingKey={check(KEY, key)}"), quiet)
