"""GitHub and GitHub Enterprise: REST, version 2022-11-28."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from delivery.forges.forge import OURS, Comment, Numbered, PullRequest, Status, Wanted, same_text
from delivery.forges.rest import Note, Place, Rest, Review, User
from delivery.git.repository import LIVE_BRANCH

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
CLOSED_PAGES = 3
"""Of a hundred: what was closed before them was looked at when it was new."""


class _Named(BaseModel):
    name: str


class _Repository(BaseModel):
    full_name: str


class _End(BaseModel):
    ref: str
    repo: _Repository | None
    """None if the fork is gone."""


class _Pull(BaseModel):
    number: int
    html_url: str
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    merged_at: str | None = None
    draft: bool = False
    labels: list[_Named] = []
    requested_reviewers: list[User] | None = []
    head: _End
    base: _End


class _Issue(BaseModel):
    closed_by: User | None = None


class GitHub:
    """See :class:`delivery.forges.forge.Forge`."""

    def __init__(self, place: Place) -> None:
        self._rest = Rest(place, HEADERS)
        self.name = self._rest.name
        self.has_token = bool(place.token)
        self._repository = f"/repos/{place.repository}"
        self._owner = place.repository.partition("/")[0]

    def of_branch(self, branch: str) -> list[PullRequest]:
        return self._list(CLOSED_PAGES, state="all", head=f"{self._owner}:{branch}", branch=branch)

    def proposals(self, state: Literal["open", "closed"]) -> list[PullRequest]:
        order = {"sort": "updated", "direction": "desc"} if state == "closed" else {}
        found = self._list(CLOSED_PAGES if state == "closed" else 10, state=state, **order)
        return [one for one in found if one.branch.startswith(OURS)]

    def _list(self, pages: int, branch: str = "", **query: str) -> list[PullRequest]:
        path = f"{self._repository}/pulls"
        found = _own(self._rest.all(_Pull, path, pages, base=LIVE_BRANCH, per_page=100, **query))
        return sorted((one for one in found if branch in ("", one.branch)), key=lambda one: -one.number)

    def open(self, wanted: Wanted) -> PullRequest:
        body = {"title": wanted.title, "body": wanted.body, "head": wanted.branch, "base": LIVE_BRANCH}
        answer = self._rest.send("POST", f"{self._repository}/pulls", {**body, "draft": wanted.draft}, again=False)
        return _pull(self._rest.checked(_Pull, answer))

    def reviewers(self, pull: PullRequest) -> set[str]:
        reviews = self._rest.all(Review, f"{self._repository}/pulls/{pull.number}/reviews", per_page=100)
        return {*pull.reviewers, *(one.user.login for one in reviews if one.user)}

    def update(self, pull: PullRequest, wanted: Wanted, ask: Sequence[str]) -> None:
        if pull.title != wanted.title or not same_text(pull.body, wanted.body):
            self._edit(pull, {"title": wanted.title, "body": wanted.body})
        missing = [label for label in wanted.labels if label not in pull.labels]
        if missing:
            self._rest.send("POST", f"{self._repository}/issues/{pull.number}/labels", {"labels": missing})
        if ask:
            path = f"{self._repository}/pulls/{pull.number}/requested_reviewers"
            self._rest.send("POST", path, {"reviewers": list(ask)})

    def comments(self, pull: Numbered) -> list[Comment]:
        found = self._rest.all(Note, f"{self._repository}/issues/{pull.number}/comments", per_page=100)
        return [Comment(one.user.login if one.user else "", one.body or "", one.id) for one in found]

    def comment(self, pull: Numbered, text: str) -> None:
        self._rest.send("POST", f"{self._repository}/issues/{pull.number}/comments", {"body": text}, again=False)

    def edit_comment(self, pull: Numbered, comment: Comment, text: str) -> None:
        self._rest.send("PATCH", f"{self._repository}/issues/comments/{comment.id}", {"body": text})

    def set_status(self, commit: str, status: Status) -> None:
        self._rest.send("POST", f"{self._repository}/statuses/{commit}", told_status(status))

    def close(self, pull: PullRequest) -> None:
        self._edit(pull, {"state": "closed"})

    def closed_by(self, pull: PullRequest) -> str:
        found = self._rest.get(_Issue, f"{self._repository}/issues/{pull.number}").closed_by
        return found.login if found else ""

    def _edit(self, pull: PullRequest, fields: dict[str, Any]) -> None:
        self._rest.send("PATCH", f"{self._repository}/pulls/{pull.number}", fields)


def told_status(status: Status) -> dict[str, Any]:
    """As GitHub and Gitea, whose API follows GitHub's, take it."""
    link = {"target_url": status.url} if status.url else {}
    return {"state": status.outcome, "context": status.name, "description": status.text, **link}


def _own(pulls: Iterable[_Pull]) -> list[PullRequest]:
    """Without those of forks, where anybody may name a branch as they like."""
    return [_pull(one) for one in pulls if one.head.repo and one.head.repo == one.base.repo]


def _pull(one: _Pull) -> PullRequest:
    return PullRequest(
        number=one.number,
        url=one.html_url,
        branch=one.head.ref,
        title=one.title,
        body=one.body or "",
        state="merged" if one.merged_at else one.state,
        draft=one.draft,
        labels=tuple(label.name for label in one.labels),
        reviewers=tuple(user.login for user in one.requested_reviewers or []),
    )
