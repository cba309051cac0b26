"""The table of a conformance run: every promise of docs/reference/guarantees.md, and what came of its test."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "guarantees.md"
SECTION = "## What a real cluster does"
_TEST = re.compile(r"`(conformance/[\w/]+\.py)::(\w+)`")


class Promise(NamedTuple):
    """One row of the page."""

    text: str
    docs: str
    seen: str
    test: str
    """``conformance/FILE::NAME``, "" where no test of a cluster holds it."""


class Outcome(NamedTuple):
    test: str
    state: str
    """held, broken or skipped."""
    reason: str


def promises() -> list[Promise]:
    """The rows of the page, in order."""
    section = PAGE.read_text(encoding="utf-8").split(SECTION, 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row] for row in rows[1:]]
    return [
        Promise(*row[:3], test="::".join(match.groups()) if (match := _TEST.search(row[3])) else "") for row in cells
    ]


def markdown(outcomes: Sequence[Outcome], met: Mapping[str, str]) -> str:
    """Versions, then each promise: one whose tests all held, or the first that did not with its reason."""
    lines = ["| met | version |", "|---|---|"]
    lines += [f"| {name} | {version or 'not found'} |" for name, version in met.items()]
    lines += ["", "| promise | outcome | why |", "|---|---|---|"]
    for promise in promises():
        own = [outcome for outcome in outcomes if promise.test and outcome.test.partition("[")[0] == promise.test]
        worst = min(own, key=lambda outcome: ("broken", "skipped", "held").index(outcome.state), default=None)
        state, reason = (worst.state, worst.reason) if worst else ("skipped", "no test of a cluster ran for it")
        lines.append(f"| {promise.text} | {state} | {' '.join(reason.split()).replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def write(text: str, path: str) -> None:
    if path:
        Path(path).write_text(text, encoding="utf-8")
