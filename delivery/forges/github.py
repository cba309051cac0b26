"""GitHub and GitHub Enterprise: REST, version 2022-11-28."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from delivery.forges.forge import OURS, Comment, DesiredProposal, PullRequest, Status, same_text
from delivery.forges.rest import Place, Rest
from delivery.git.repository import LIVE_BRANCH


class User(BaseModel):
    login: str


class Named(BaseModel):
    name: str


class Pull(BaseModel, ABC):
    """A pull request, as far as GitHub and Gitea say the same of it."""

    number: int
    html_url: str
    title: str
    body: str | None = None
    state: Literal["open", "closed"]
    labels: list[Named] | None = []
    requested_reviewers: list[User] | None = []

    @abstractmethod
    def proposal(self) -> PullRequest | None:
        """None for one of a fork, where anybody may name a branch as they like, or of another branch than the live."""

    def _proposal(self, branch: str, title: str, merged: bool, draft: bool) -> PullRequest:
        return PullRequest(
            number=self.number,
            url=self.html_url,
            branch=branch,
            title=title,
            body=self.body or "",
            state="merged" if merged else self.state,
            draft=draft,
            labels=tuple(label.name for label in self.labels or []),
            reviewers=tuple(user.login for user in self.requested_reviewers or []),
        )


class _Repository(BaseModel):
    full_name: str


class _GitHubBranch(BaseModel):
    ref: str
    repo: _Repository | None
    """None if the fork is gone."""


class _GitHubPull(Pull):
    merged_at: str | None = None
    draft: bool = False
    head: _GitHubBranch
    base: _GitHubBranch

    def proposal(self) -> PullRequest | None:
        own = self.head.repo and self.head.repo == self.base.repo and self.base.ref == LIVE_BRANCH
        return self._proposal(self.head.ref, self.title, self.merged_at is not None, self.draft) if own else None


class _Issue(BaseModel):
    closed_by: User | None = None


class _Review(BaseModel):
    user: User | None


class _IssueComment(_Review):
    id: int
    body: str | None = None


class GitHub:
    """See :class:`delivery.forges.forge.Forge`. Gitea's API follows GitHub's; what it has otherwise is in attributes
    and methods of their own."""

    headers: ClassVar[Mapping[str, str]] = {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    pull: ClassVar[type[Pull]] = _GitHubPull
    page: ClassVar[Mapping[str, int]] = {"per_page": 100}
    """The most that a list gives at once."""
    query: ClassVar[Mapping[str, str]] = {"base": LIVE_BRANCH, "sort": "updated", "direction": "desc"}
    """Of a list of proposals."""
    closed_pages = 3
    """What was closed before them was looked at when it was new."""
    comment_pages = 10

    def __init__(self, place: Place) -> None:
        self._rest = Rest(place, self.headers)
        self.name = self._rest.name
        self.has_token = bool(place.token)
        self._repository = f"/repos/{place.repository}"
        self._pulls = f"{self._repository}/pulls"
        self._owner = place.repository.partition("/")[0]

    def of_branch(self, branch: str) -> list[PullRequest]:
        pulls = self._list(self.closed_pages, state="all", head=f"{self._owner}:{branch}")
        return [pull for pull in pulls if pull.branch == branch]

    def proposals(self, state: Literal["open", "closed"]) -> list[PullRequest]:
        pulls = self._list(self.closed_pages if state == "closed" else 10, state=state)
        return [pull for pull in pulls if pull.branch.startswith(OURS)]

    def _list(self, pages: int, **query: str) -> list[PullRequest]:
        pulls = self._rest.all(self.pull, self._pulls, pages, **self.query, **self.page, **query)
        own = (proposal for pull in pulls if (proposal := pull.proposal()))
        return sorted(own, key=lambda pull: -pull.number)

    def open(self, desired: DesiredProposal) -> PullRequest:
        body = {"title": self._title(desired.title, desired.draft), "body": desired.body}
        body |= {"head": desired.branch, "base": LIVE_BRANCH, **self._fields(desired)}
        proposal = self._rest.checked(self.pull, self._rest.send("POST", self._pulls, body, again=False)).proposal()
        assert proposal, "it is of the branch and the repository that it was opened with"
        return proposal

    def _fields(self, desired: DesiredProposal) -> dict[str, Any]:
        """What else a proposal is opened with."""
        return {"draft": desired.draft}

    def _title(self, title: str, draft: bool) -> str:
        """As the forge keeps the title of a draft."""
        return title

    def _labels(self, names: Sequence[str]) -> Sequence[str | int]:
        """As the forge takes labels."""
        return names

    def reviewers(self, pull: PullRequest) -> set[str]:
        reviews = self._rest.all(_Review, f"{self._pulls}/{pull.number}/reviews", **self.page)
        return {*pull.reviewers, *(review.user.login for review in reviews if review.user)}

    def update(self, pull: PullRequest, desired: DesiredProposal, ask: Sequence[str]) -> None:
        if pull.title != desired.title or not same_text(pull.body, desired.body):
            title = self._title(desired.title, pull.draft)
            self._rest.send("PATCH", f"{self._pulls}/{pull.number}", {"title": title, "body": desired.body})
        missing = [label for label in desired.labels if label not in pull.labels]
        if missing:
            self._rest.send("POST", f"{self._issue(pull.number)}/labels", {"labels": self._labels(missing)})
        if ask:
            self._rest.send("POST", f"{self._pulls}/{pull.number}/requested_reviewers", {"reviewers": list(ask)})

    def comments(self, number: int) -> list[Comment]:
        page = self.page if self.comment_pages else {}
        notes = self._rest.all(_IssueComment, f"{self._issue(number)}/comments", self.comment_pages, **page)
        return [Comment(note.user.login if note.user else "", note.body or "", note.id) for note in notes]

    def comment(self, number: int, text: str) -> None:
        self._rest.send("POST", f"{self._issue(number)}/comments", {"body": text}, again=False)

    def edit_comment(self, number: int, comment: Comment, text: str) -> None:
        self._rest.send("PATCH", f"{self._repository}/issues/comments/{comment.id}", {"body": text})

    def set_status(self, commit: str, status: Status) -> None:
        link = {"target_url": status.url} if status.url else {}
        body = {"state": status.outcome, "context": status.name, "description": status.text, **link}
        self._rest.send("POST", f"{self._repository}/statuses/{commit}", body)

    def close(self, pull: PullRequest) -> None:
        self._rest.send("PATCH", f"{self._pulls}/{pull.number}", {"state": "closed"})

    def closed_by(self, pull: PullRequest) -> str:
        user = self._rest.get(_Issue, self._issue(pull.number)).closed_by
        return user.login if user else ""

    def _issue(self, number: int) -> str:
        return f"{self._repository}/issues/{number}"
