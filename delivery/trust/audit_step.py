"""One step of an audit, along the chain from what is live to what it was made from."""

from dataclasses import dataclass
from typing import Literal

State = Literal["holds", "broken", "not signed", "not checked"]


@dataclass(frozen=True)
class AuditStep:
    name: str
    state: State
    detail: str
    """What was compared, what differs, or why it was not checked."""


def holds(name: str, detail: str) -> AuditStep:
    return AuditStep(name, "holds", detail)


def not_checked(name: str, why: str) -> AuditStep:
    return AuditStep(name, "not checked", why)


def checked(name: str, problems: list[str], detail: str) -> AuditStep:
    """Broken by any problem, else as the detail says."""
    return AuditStep(name, "broken", "; ".join(problems)) if problems else holds(name, detail)
