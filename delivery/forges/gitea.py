"""Gitea and Forgejo: API v1. A proposal is a draft by its title; labels are given by their number."""

import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from delivery.forges.forge import OURS, Comment, ForgeError, Numbered, PullRequest, Status, Wanted, same_text
from delivery.forges.github import told_status
from delivery.forges.rest import Note, Place, Rest, Review, User
from delivery.git.repository import LIVE_BRANCH

CLOSED_PAGES = 6
PAGE = 50
"""The most that a server gives at once unless it is set otherwise."""
DRAFT = "WIP: "
_DRAFT = re.compile(r"^\s*(wip:|\[wip\])\s*", re.IGNORECASE)


class _Label(BaseModel):
    id: int
    name: str


class _End(BaseModel):
    label: str
    """Name of the branch, also when it is deleted."""
    repo_id: int


class _Pull(BaseModel):
    number: int
    html_url: str
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    merged: bool | None = False
    labels: list[_Label] | None = []
    requested_reviewers: list[User] | None = []
    head: _End
    base: _End


class _Event(BaseModel):
    type: str
    user: User | None


class Gitea:
    """See :class:`delivery.forges.forge.Forge`."""

    def __init__(self, place: Place) -> None:
        self._rest = Rest(place, {"Accept": "application/json"})
        self.name = self._rest.name
        self.has_token = bool(place.token)
        self._repository = f"/repos/{place.repository}"
        self._pulls = f"{self._repository}/pulls"

    def of_branch(self, branch: str) -> list[PullRequest]:
        """Its list can't be asked for one branch."""
        found = [*self.proposals("open"), *self.proposals("closed")]
        return sorted((one for one in found if one.branch == branch), key=lambda one: -one.number)

    def proposals(self, state: Literal["open", "closed"]) -> list[PullRequest]:
        pages = CLOSED_PAGES if state == "closed" else 10
        found = self._rest.all(_Pull, self._pulls, pages, state=state, sort="recentupdate", limit=PAGE)
        own = [
            _pull(one)
            for one in found
            if one.head.repo_id == one.base.repo_id
            and one.base.label == LIVE_BRANCH
            and one.head.label.startswith(OURS)
        ]
        return sorted(own, key=lambda one: -one.number)

    def open(self, wanted: Wanted) -> PullRequest:
        body: dict[str, Any] = {
            "head": wanted.branch,
            "base": LIVE_BRANCH,
            "title": (DRAFT if wanted.draft else "") + wanted.title,
            "body": wanted.body,
        }
        if wanted.labels:
            body["labels"] = self._label_ids(wanted.labels)
        return _pull(self._rest.checked(_Pull, self._rest.send("POST", self._pulls, body, again=False)))

    def reviewers(self, pull: PullRequest) -> set[str]:
        reviews = self._rest.all(Review, f"{self._pulls}/{pull.number}/reviews", limit=PAGE)
        return {*pull.reviewers, *(one.user.login for one in reviews if one.user)}

    def update(self, pull: PullRequest, wanted: Wanted, ask: Sequence[str]) -> None:
        if pull.title != wanted.title or not same_text(pull.body, wanted.body):
            title = (DRAFT if pull.draft else "") + wanted.title
            self._rest.send("PATCH", f"{self._pulls}/{pull.number}", {"title": title, "body": wanted.body})
        missing = [label for label in wanted.labels if label not in pull.labels]
        if missing:
            path = f"{self._repository}/issues/{pull.number}/labels"
            self._rest.send("POST", path, {"labels": self._label_ids(missing)})
        if ask:
            self._rest.send("POST", f"{self._pulls}/{pull.number}/requested_reviewers", {"reviewers": list(ask)})

    def comments(self, pull: Numbered) -> list[Comment]:
        """Its list of comments has no pages."""
        found = self._rest.all(Note, f"{self._repository}/issues/{pull.number}/comments", 0)
        return [Comment(one.user.login if one.user else "", one.body or "", one.id) for one in found]

    def comment(self, pull: Numbered, text: str) -> None:
        self._rest.send("POST", f"{self._repository}/issues/{pull.number}/comments", {"body": text}, again=False)

    def edit_comment(self, pull: Numbered, comment: Comment, text: str) -> None:
        self._rest.send("PATCH", f"{self._repository}/issues/comments/{comment.id}", {"body": text})

    def set_status(self, commit: str, status: Status) -> None:
        self._rest.send("POST", f"{self._repository}/statuses/{commit}", told_status(status))

    def close(self, pull: PullRequest) -> None:
        self._rest.send("PATCH", f"{self._pulls}/{pull.number}", {"state": "closed"})

    def closed_by(self, pull: PullRequest) -> str:
        found = self._rest.all(_Event, f"{self._repository}/issues/{pull.number}/timeline", limit=PAGE)
        who = [one.user.login for one in found if one.type == "close" and one.user]
        return who[-1] if who else ""

    def _label_ids(self, names: Sequence[str]) -> list[int]:
        """Raises ForgeError for a label that the repository lacks."""
        known = {one.name: one.id for one in self._rest.all(_Label, f"{self._repository}/labels", limit=PAGE)}
        for name in names:
            if name not in known:
                raise ForgeError(
                    f"{self.name} has no label {name!r} in the repository; make it there, or take it out of "
                    "release.labels in spec.yaml"
                )
        return [known[name] for name in names]


def _pull(one: _Pull) -> PullRequest:
    return PullRequest(
        number=one.number,
        url=one.html_url,
        branch=one.head.label,
        title=_DRAFT.sub("", one.title),
        body=one.body or "",
        state="merged" if one.merged else one.state,
        draft=_DRAFT.match(one.title) is not None,
        labels=tuple(label.name for label in one.labels or []),
        reviewers=tuple(user.login for user in one.requested_reviewers or []),
    )
