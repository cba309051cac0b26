"""One link of the chain from what is live to what it was made from."""

from dataclasses import dataclass
from typing import Literal

State = Literal["holds", "broken", "not signed", "not checked"]


@dataclass(frozen=True)
class Link:
    name: str
    state: State
    detail: str
    """What was compared, what differs, or why it was not checked."""


def holds(name: str, detail: str) -> Link:
    return Link(name, "holds", detail)


def not_checked(name: str, why: str) -> Link:
    return Link(name, "not checked", why)


def judged(name: str, problems: list[str], detail: str) -> Link:
    """Broken by any problem, else as the detail says."""
    return Link(name, "broken", "; ".join(problems)) if problems else holds(name, detail)
