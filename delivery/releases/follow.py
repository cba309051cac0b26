"""Watching what git says is live: a cheap look at the live branch's tip, and the manifest when it has moved."""

from delivery.git.repository import LIVE_BRANCH, open_repository
from delivery.kserve.manifest import LiveModel
from delivery.releases.live import live
from training.errors import InputError


class Watch:
    """One model in the manifests repository."""

    def __init__(self, manifests_remote: str, name: str) -> None:
        self._remote = manifests_remote
        self._name = name
        self._read = ""
        """The tip whose manifest was read last."""

    def poll(self) -> LiveModel | None:
        """What is live now, if the live branch has moved since the last call that came to an end; else None.

        Raises InputError, once a tip, if the manifest is broken or gone; OstinatoError if git can't be asked.
        """
        with open_repository(self._remote) as repository:  # nothing is fetched
            tip = repository.git("ls-remote", "origin", f"refs/heads/{LIVE_BRANCH}").decode().partition("\t")[0]
        if tip == self._read:
            return None
        try:
            current = live(self._remote, self._name)
            if current is None:
                raise InputError(f"{self._name} is not live any more at commit {tip[:12]}")
        except InputError:
            self._read = tip
            raise
        self._read = tip
        return current
