"""Gitea and Forgejo: API v1. A proposal is a draft by its title; labels are given by their number."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from delivery.forges.forge import DesiredProposal, ForgeError, PullRequest
from delivery.forges.github import GitHub, Named, Pull, User
from delivery.git.repository import LIVE_BRANCH

DRAFT = "WIP: "
_DRAFT = re.compile(r"^\s*(wip:|\[wip\])\s*", re.IGNORECASE)


class _Label(Named):
    id: int


class _GiteaBranch(BaseModel):
    label: str
    """Name of the branch, also when it is deleted."""
    repo_id: int


class _GiteaPull(Pull):
    merged: bool | None = False
    head: _GiteaBranch
    base: _GiteaBranch

    def proposal(self) -> PullRequest | None:
        own = self.head.repo_id == self.base.repo_id and self.base.label == LIVE_BRANCH
        title, draft = _DRAFT.sub("", self.title), _DRAFT.match(self.title) is not None
        return self._proposal(self.head.label, title, bool(self.merged), draft) if own else None


class _Event(BaseModel):
    type: str
    user: User | None


class Gitea(GitHub):
    """See :class:`delivery.forges.forge.Forge`."""

    headers = {"Accept": "application/json"}
    pull = _GiteaPull
    page = {"limit": 50}
    query = {"sort": "recentupdate"}
    closed_pages = 6
    comment_pages = 0
    """Its list of comments has no pages."""

    def of_branch(self, branch: str) -> list[PullRequest]:
        """Its list can't be asked for one branch."""
        pulls = [*self.proposals("open"), *self.proposals("closed")]
        return sorted((pull for pull in pulls if pull.branch == branch), key=lambda pull: -pull.number)

    def _fields(self, desired: DesiredProposal) -> dict[str, Any]:
        return {"labels": self._labels(desired.labels)} if desired.labels else {}

    def _title(self, title: str, draft: bool) -> str:
        return (DRAFT if draft else "") + title

    def _labels(self, names: Sequence[str]) -> list[int]:
        """Raises ForgeError for a label that the repository lacks."""
        labels = self._rest.all(_Label, f"{self._repository}/labels", **self.page)
        known = {label.name: label.id for label in labels}
        for name in names:
            if name not in known:
                raise ForgeError(
                    f"{self.name} has no label {name!r} in the repository; make it there, or take it out of "
                    "release.labels in spec.yaml"
                )
        return [known[name] for name in names]

    def closed_by(self, pull: PullRequest) -> str:
        events = self._rest.all(_Event, f"{self._issue(pull.number)}/timeline", **self.page)
        who = [event.user.login for event in events if event.type == "close" and event.user]
        return who[-1] if who else ""
