"""GitLab: API v4. A proposal is a merge request; it is a draft by its title."""

import re
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel

from delivery.forges.forge import OURS, Comment, DesiredProposal, ForgeError, Outcome, PullRequest, State, Status
from delivery.forges.rest import Place, Rest
from delivery.git.repository import LIVE_BRANCH

CLOSED_PAGES = 3
DRAFT = "Draft: "
_DRAFT = re.compile(r"^(\s*(\[draft\]|\(draft\)|draft:)\s*)+", re.IGNORECASE)


class _User(BaseModel):
    id: int
    username: str


class _Merge(BaseModel):
    iid: int
    web_url: str
    source_branch: str
    source_project_id: int | None
    target_project_id: int
    title: str
    description: str | None = None
    state: Literal["opened", "closed", "locked", "merged"]
    draft: bool = False
    labels: list[str] = []
    reviewers: list[_User] | None = []
    closed_by: _User | None = None


class _Note(BaseModel):
    id: int
    author: _User | None
    body: str | None = None
    system: bool = False


class _Status(BaseModel):
    name: str
    status: str
    description: str | None = None


class GitLab:
    """See :class:`delivery.forges.forge.Forge`."""

    def __init__(self, place: Place) -> None:
        self._rest = Rest(place, {"Accept": "application/json"})
        self.name = self._rest.name
        self.has_token = bool(place.token)
        self._project = f"/projects/{quote(place.repository, safe='')}"
        self._merges = f"{self._project}/merge_requests"

    def of_branch(self, branch: str) -> list[PullRequest]:
        return self._list(CLOSED_PAGES, state="all", source_branch=branch)

    def proposals(self, state: Literal["open", "closed"]) -> list[PullRequest]:
        """GitLab lists closed and merged ones apart; the merged are asked for too."""
        states, pages = (("opened",), 10) if state == "open" else (("closed", "merged"), CLOSED_PAGES)
        latest = {"order_by": "updated_at", "sort": "desc"}
        merges = [merge for listed in states for merge in self._list(pages, state=listed, **latest)]
        return sorted((merge for merge in merges if merge.branch.startswith(OURS)), key=lambda merge: -merge.number)

    def _list(self, pages: int, **query: Any) -> list[PullRequest]:
        merges = self._rest.all(_Merge, self._merges, pages, target_branch=LIVE_BRANCH, per_page=100, **query)
        own = (merge for merge in merges if merge.source_project_id == merge.target_project_id)
        return sorted((_pull(merge) for merge in own), key=lambda merge: -merge.number)

    def open(self, desired: DesiredProposal) -> PullRequest:
        body: dict[str, Any] = {
            "source_branch": desired.branch,
            "target_branch": LIVE_BRANCH,
            "title": (DRAFT if desired.draft else "") + desired.title,
            "description": desired.body,
        }
        if desired.labels:
            body["labels"] = ",".join(desired.labels)
        if desired.reviewers:
            body["reviewer_ids"] = self._ids(desired.reviewers)
        return _pull(self._rest.checked(_Merge, self._rest.send("POST", self._merges, body, again=False)))

    def reviewers(self, pull: PullRequest) -> set[str]:
        return set(pull.reviewers)

    def update(self, pull: PullRequest, desired: DesiredProposal, ask: Sequence[str]) -> None:
        fields: dict[str, Any] = {"title": (DRAFT if pull.draft else "") + desired.title, "description": desired.body}
        missing = [label for label in desired.labels if label not in pull.labels]
        if missing:
            fields["add_labels"] = ",".join(missing)
        if ask:
            fields["reviewer_ids"] = self._ids([*pull.reviewers, *ask])
        self._rest.send("PUT", f"{self._merges}/{pull.number}", fields)

    def comments(self, number: int) -> list[Comment]:
        order: dict[str, Any] = {"order_by": "created_at", "sort": "asc"}
        notes = self._rest.all(_Note, f"{self._merges}/{number}/notes", per_page=100, **order)
        written = (note for note in notes if not note.system)
        return [Comment(note.author.username if note.author else "", note.body or "", note.id) for note in written]

    def comment(self, number: int, text: str) -> None:
        self._rest.send("POST", f"{self._merges}/{number}/notes", {"body": text}, again=False)

    def edit_comment(self, number: int, comment: Comment, text: str) -> None:
        self._rest.send("PUT", f"{self._merges}/{number}/notes/{comment.id}", {"body": text})

    def set_status(self, commit: str, status: Status) -> None:
        """GitLab refuses a status that a commit has, so it is looked up before."""
        state = _OUTCOMES[status.outcome]
        known = self._rest.all(_Status, f"{self._project}/repository/commits/{commit}/statuses", per_page=100)
        if any((other.name, other.status, other.description) == (status.name, state, status.text) for other in known):
            return
        link = {"target_url": status.url} if status.url else {}
        body = {"state": state, "name": status.name, "description": status.text, **link}
        self._rest.send("POST", f"{self._project}/statuses/{commit}", body, again=False)

    def close(self, pull: PullRequest) -> None:
        self._rest.send("PUT", f"{self._merges}/{pull.number}", {"state_event": "close"})

    def closed_by(self, pull: PullRequest) -> str:
        user = self._rest.get(_Merge, f"{self._merges}/{pull.number}").closed_by
        return user.username if user else ""

    def _ids(self, names: Sequence[str]) -> list[int]:
        """GitLab takes reviewers by their number. Raises ForgeError for a name that nobody has."""
        ids = []
        for name in names:
            ids_of_name = [user.id for user in self._rest.all(_User, "/users", 1, username=name)]
            if not ids_of_name:
                raise ForgeError(
                    f"{self.name} has no user {name!r}; mend release.reviewers in spec.yaml, which lists user names"
                )
            ids.append(ids_of_name[0])
        return ids


_OUTCOMES: dict[Outcome, str] = {"pending": "pending", "success": "success", "failure": "failed"}
_STATES: dict[str, State] = {"opened": "open", "locked": "open", "closed": "closed", "merged": "merged"}
"""It is locked while it is being merged."""


def _pull(merge: _Merge) -> PullRequest:
    return PullRequest(
        number=merge.iid,
        url=merge.web_url,
        branch=merge.source_branch,
        title=_DRAFT.sub("", merge.title),
        body=merge.description or "",
        state=_STATES[merge.state],
        draft=merge.draft,
        labels=tuple(merge.labels),
        reviewers=tuple(user.username for user in merge.reviewers or []),
    )
