"""What a forge is to a release: where a branch is proposed, talked about, and merged or closed by people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from training.errors import OstinatoError

State = Literal["open", "merged", "closed"]
Outcome = Literal["pending", "success", "failure"]
OURS = ("release/", "promote/", "rollback/", "retire/")
"""What the branches begin with that are proposed here; others are nobody's business."""


class ForgeError(OstinatoError):
    """The forge can't be used, or refuses."""


class ForgeUnavailable(ForgeError):
    """It did not answer, or answered that it can't now. What came of the request is then unknown."""


class AlreadyProposed(ForgeError):
    """The branch has an open proposal."""


@dataclass(frozen=True)
class DesiredProposal:
    """A proposal as it should be."""

    branch: str
    title: str
    body: str
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    draft: bool = False
    """Only how it is opened; from then on people decide when it is ready."""


@dataclass(frozen=True)
class PullRequest:
    """A proposal as the forge has it; GitLab calls it a merge request."""

    number: int
    url: str
    branch: str
    title: str
    """Without the prefix that makes it a draft."""
    body: str
    state: State
    draft: bool
    labels: tuple[str, ...]
    reviewers: tuple[str, ...]
    """Who is asked now; a forge may forget who has answered."""


@dataclass(frozen=True)
class Comment:
    """What somebody wrote under a proposal."""

    author: str
    text: str
    id: int = 0


@dataclass(frozen=True)
class Status:
    """What a check says of a commit. A forge shows the newest of each name."""

    name: str
    outcome: Outcome
    text: str
    """At most 140 characters, which is GitHub's limit."""
    url: str = ""
    """Where the whole story is."""


class Forge(Protocol):
    """One repository at a forge. Proposals are of branches of that repository itself, never of a fork.

    Every method raises ForgeError with one clear message if the forge can't be used, or refuses.
    """

    name: str
    """Such as ``GitHub (https://api.github.com)``, for messages."""
    has_token: bool

    def of_branch(self, branch: str) -> list[PullRequest]:
        """Proposals of a branch in any state, newest first."""
        ...

    def proposals(self, state: Literal["open", "closed"]) -> list[PullRequest]:
        """Proposals of release branches, newest first; `closed` has the merged ones too, and only the latest."""
        ...

    def open(self, desired: DesiredProposal) -> PullRequest:
        """Open a proposal, once asked. Raises AlreadyProposed if the branch has one."""
        ...

    def reviewers(self, pull: PullRequest) -> set[str]:
        """Who is asked to review, or has reviewed."""
        ...

    def update(self, pull: PullRequest, desired: DesiredProposal, ask: Sequence[str]) -> None:
        """Give it the wanted title, body and labels besides those it has, and ask these reviewers too."""
        ...

    def comments(self, number: int) -> list[Comment]:
        """Of a proposal, by people and programs, oldest first."""
        ...

    def comment(self, number: int, text: str) -> None: ...

    def edit_comment(self, number: int, comment: Comment, text: str) -> None: ...

    def set_status(self, commit: str, status: Status) -> None:
        """Say it of a commit of the repository; once more does no harm."""
        ...

    def close(self, pull: PullRequest) -> None:
        """Close it without merging."""
        ...

    def closed_by(self, pull: PullRequest) -> str:
        """Who closed it, "" if the forge does not say."""
        ...


def same_text(text: str, other: str) -> bool:
    """Whether two texts are equal but for what forges do to line ends and the ends of a text."""
    return text.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()
