"""GitHub and GitHub Enterprise: REST, version 2022-11-28."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from delivery.forges.forge import OURS, Comment, DesiredProposal, Numbered, PullRequest, Status, same_text
from delivery.forges.rest import Note, Place, Rest, Review, User
from delivery.git.repository import LIVE_BRANCH

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
CLOSED_PAGES = 3
"""Of a hundred: what was closed before them was looked at when it was new."""


class _Named(BaseModel):
    name: str


class _Repository(BaseModel):
    full_name: str


class _GitHubBranch(BaseModel):
    ref: str
    repo: _Repository | None
    """None if the fork is gone."""


class _GitHubPull(BaseModel):
    number: int
    html_url: str
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    merged_at: str | None = None
    draft: bool = False
    labels: list[_Named] = []
    requested_reviewers: list[User] | None = []
    head: _GitHubBranch
    base: _GitHubBranch


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
        pulls = self._list(CLOSED_PAGES if state == "closed" else 10, state=state, **order)
        return [pull for pull in pulls if pull.branch.startswith(OURS)]

    def _list(self, pages: int, branch: str = "", **query: str) -> list[PullRequest]:
        path = f"{self._repository}/pulls"
        pulls = _own(self._rest.all(_GitHubPull, path, pages, base=LIVE_BRANCH, per_page=100, **query))
        return sorted((pull for pull in pulls if branch in ("", pull.branch)), key=lambda pull: -pull.number)

    def open(self, desired: DesiredProposal) -> PullRequest:
        body = {"title": desired.title, "body": desired.body, "head": desired.branch, "base": LIVE_BRANCH}
        answer = self._rest.send("POST", f"{self._repository}/pulls", {**body, "draft": desired.draft}, again=False)
        return _pull(self._rest.checked(_GitHubPull, answer))

    def reviewers(self, pull: PullRequest) -> set[str]:
        reviews = self._rest.all(Review, f"{self._repository}/pulls/{pull.number}/reviews", per_page=100)
        return {*pull.reviewers, *(review.user.login for review in reviews if review.user)}

    def update(self, pull: PullRequest, desired: DesiredProposal, ask: Sequence[str]) -> None:
        if pull.title != desired.title or not same_text(pull.body, desired.body):
            self._edit(pull, {"title": desired.title, "body": desired.body})
        missing = [label for label in desired.labels if label not in pull.labels]
        if missing:
            self._rest.send("POST", f"{self._repository}/issues/{pull.number}/labels", {"labels": missing})
        if ask:
            path = f"{self._repository}/pulls/{pull.number}/requested_reviewers"
            self._rest.send("POST", path, {"reviewers": list(ask)})

    def comments(self, pull: Numbered) -> list[Comment]:
        notes = self._rest.all(Note, f"{self._repository}/issues/{pull.number}/comments", per_page=100)
        return [Comment(note.user.login if note.user else "", note.body or "", note.id) for note in notes]

    def comment(self, pull: Numbered, text: str) -> None:
        self._rest.send("POST", f"{self._repository}/issues/{pull.number}/comments", {"body": text}, again=False)

    def edit_comment(self, pull: Numbered, comment: Comment, text: str) -> None:
        self._rest.send("PATCH", f"{self._repository}/issues/comments/{comment.id}", {"body": text})

    def set_status(self, commit: str, status: Status) -> None:
        self._rest.send("POST", f"{self._repository}/statuses/{commit}", told_status(status))

    def close(self, pull: PullRequest) -> None:
        self._edit(pull, {"state": "closed"})

    def closed_by(self, pull: PullRequest) -> str:
        user = self._rest.get(_Issue, f"{self._repository}/issues/{pull.number}").closed_by
        return user.login if user else ""

    def _edit(self, pull: PullRequest, fields: dict[str, Any]) -> None:
        self._rest.send("PATCH", f"{self._repository}/pulls/{pull.number}", fields)


def told_status(status: Status) -> dict[str, Any]:
    """As GitHub and Gitea, whose API follows GitHub's, take it."""
    link = {"target_url": status.url} if status.url else {}
    return {"state": status.outcome, "context": status.name, "description": status.text, **link}


def _own(pulls: Iterable[_GitHubPull]) -> list[PullRequest]:
    """Without those of forks, where anybody may name a branch as they like."""
    return [_pull(pull) for pull in pulls if pull.head.repo and pull.head.repo == pull.base.repo]


def _pull(pull: _GitHubPull) -> PullRequest:
    return PullRequest(
        number=pull.number,
        url=pull.html_url,
        branch=pull.head.ref,
        title=pull.title,
        body=pull.body or "",
        state="merged" if pull.merged_at else pull.state,
        draft=pull.draft,
        labels=tuple(label.name for label in pull.labels),
        reviewers=tuple(user.login for user in pull.requested_reviewers or []),
    )
