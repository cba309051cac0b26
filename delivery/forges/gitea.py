"""Gitea and Forgejo: API v1. A proposal is a draft by its title; labels are given by their number."""

import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from delivery.forges.forge import OURS, Comment, DesiredProposal, ForgeError, Numbered, PullRequest, Status, same_text
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


class _GiteaBranch(BaseModel):
    label: str
    """Name of the branch, also when it is deleted."""
    repo_id: int


class _GiteaPull(BaseModel):
    number: int
    html_url: str
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    merged: bool | None = False
    labels: list[_Label] | None = []
    requested_reviewers: list[User] | None = []
    head: _GiteaBranch
    base: _GiteaBranch


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
        pulls = [*self.proposals("open"), *self.proposals("closed")]
        return sorted((pull for pull in pulls if pull.branch == branch), key=lambda pull: -pull.number)

    def proposals(self, state: Literal["open", "closed"]) -> list[PullRequest]:
        pages = CLOSED_PAGES if state == "closed" else 10
        pulls = self._rest.all(_GiteaPull, self._pulls, pages, state=state, sort="recentupdate", limit=PAGE)
        own = [
            _pull(pull)
            for pull in pulls
            if pull.head.repo_id == pull.base.repo_id
            and pull.base.label == LIVE_BRANCH
            and pull.head.label.startswith(OURS)
        ]
        return sorted(own, key=lambda pull: -pull.number)

    def open(self, desired: DesiredProposal) -> PullRequest:
        body: dict[str, Any] = {
            "head": desired.branch,
            "base": LIVE_BRANCH,
            "title": (DRAFT if desired.draft else "") + desired.title,
            "body": desired.body,
        }
        if desired.labels:
            body["labels"] = self._label_ids(desired.labels)
        return _pull(self._rest.checked(_GiteaPull, self._rest.send("POST", self._pulls, body, again=False)))

    def reviewers(self, pull: PullRequest) -> set[str]:
        reviews = self._rest.all(Review, f"{self._pulls}/{pull.number}/reviews", limit=PAGE)
        return {*pull.reviewers, *(review.user.login for review in reviews if review.user)}

    def update(self, pull: PullRequest, desired: DesiredProposal, ask: Sequence[str]) -> None:
        if pull.title != desired.title or not same_text(pull.body, desired.body):
            title = (DRAFT if pull.draft else "") + desired.title
            self._rest.send("PATCH", f"{self._pulls}/{pull.number}", {"title": title, "body": desired.body})
        missing = [label for label in desired.labels if label not in pull.labels]
        if missing:
            path = f"{self._repository}/issues/{pull.number}/labels"
            self._rest.send("POST", path, {"labels": self._label_ids(missing)})
        if ask:
            self._rest.send("POST", f"{self._pulls}/{pull.number}/requested_reviewers", {"reviewers": list(ask)})

    def comments(self, pull: Numbered) -> list[Comment]:
        """Its list of comments has no pages."""
        notes = self._rest.all(Note, f"{self._repository}/issues/{pull.number}/comments", 0)
        return [Comment(note.user.login if note.user else "", note.body or "", note.id) for note in notes]

    def comment(self, pull: Numbered, text: str) -> None:
        self._rest.send("POST", f"{self._repository}/issues/{pull.number}/comments", {"body": text}, again=False)

    def edit_comment(self, pull: Numbered, comment: Comment, text: str) -> None:
        self._rest.send("PATCH", f"{self._repository}/issues/comments/{comment.id}", {"body": text})

    def set_status(self, commit: str, status: Status) -> None:
        self._rest.send("POST", f"{self._repository}/statuses/{commit}", told_status(status))

    def close(self, pull: PullRequest) -> None:
        self._rest.send("PATCH", f"{self._pulls}/{pull.number}", {"state": "closed"})

    def closed_by(self, pull: PullRequest) -> str:
        events = self._rest.all(_Event, f"{self._repository}/issues/{pull.number}/timeline", limit=PAGE)
        who = [event.user.login for event in events if event.type == "close" and event.user]
        return who[-1] if who else ""

    def _label_ids(self, names: Sequence[str]) -> list[int]:
        """Raises ForgeError for a label that the repository lacks."""
        known = {label.name: label.id for label in self._rest.all(_Label, f"{self._repository}/labels", limit=PAGE)}
        for name in names:
            if name not in known:
                raise ForgeError(
                    f"{self.name} has no label {name!r} in the repository; make it there, or take it out of "
                    "release.labels in spec.yaml"
                )
        return [known[name] for name in names]


def _pull(pull: _GiteaPull) -> PullRequest:
    return PullRequest(
        number=pull.number,
        url=pull.html_url,
        branch=pull.head.label,
        title=_DRAFT.sub("", pull.title),
        body=pull.body or "",
        state="merged" if pull.merged else pull.state,
        draft=_DRAFT.match(pull.title) is not None,
        labels=tuple(label.name for label in pull.labels or []),
        reviewers=tuple(user.login for user in pull.requested_reviewers or []),
    )
