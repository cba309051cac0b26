"""What the cluster runs, as text for a terminal."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from pipelines.wording import plain_table, render

if TYPE_CHECKING:
    from delivery.kserve.cluster import FieldDifference
    from delivery.kserve.installation_checks import ClusterFinding
    from delivery.releases.cluster_status import ClusterStatus, PlaceStatus

SIGNS = {"ok": "[green]✓[/]", "missing": "[red]✗[/]", "unknown": "[yellow]?[/]"}
COLOURS = {"Healthy": "green", "Progressing": "yellow", "Suspended": "dim"}
LONGEST = 60
"""Characters of a field's value."""


def render_cluster_status(status: "ClusterStatus") -> str:
    """One line a model and namespace with its health; then what differs from git, and what has no folder there."""
    table = plain_table("model", "namespace", "git", "cluster", "health", "")
    rows = [(place.model, place, place.git_version, place.cluster_version) for place in status.places]
    rows += [(stray.name, stray, "", stray.version) for stray in status.strays]
    for name, row, git, cluster in rows:
        health = f"[{COLOURS.get(row.health, 'red')}]{row.health}[/]"
        table.add_row(name, row.namespace, git or "–", cluster or "–", health, escape(row.message))
    lines = [line for place in status.places for line in _lines(place)]
    for stray in status.strays:
        lines.append(f"{stray.name} in {stray.namespace} has no folder in git; run: {stray.command}")
    return (render(table) + "\n".join(lines)).rstrip("\n")


def _lines(place: "PlaceStatus") -> list[str]:
    """What there is to say of a model in a namespace, in the words of `ostinato verify`."""
    where = f"{place.model} in {place.namespace}"
    lines: list[str] = []
    if place.cluster_version != place.git_version:
        version = f"version {place.cluster_version}" if place.cluster_version else "no version of it"
        commit = f"Argo CD has not synced commit {place.commit[:12]}"
        lines.append(f"{where} is not version {place.git_version} yet: the cluster has {version}; {commit}")
    elif place.canary and not place.live:
        way_back = f" End it with: ostinato canary {place.model} --abort" if place.health == "Degraded" else ""
        lines.append(f"{where}, with version {place.canary} as its canary: {place.message}{way_back}")
    elif not place.live:
        lines.append(f"{where} is not version {place.git_version} yet: {place.message}")
    if place.note:
        lines.append(f"{where}: {place.note}")
    return lines + [f"{where}: {describe_difference(difference)}" for difference in place.differences]


def describe_difference(difference: "FieldDifference") -> str:
    if difference.git is None:
        return f"{difference.field} was added by hand: {_short(difference.cluster)}"
    if difference.cluster is None:
        return f"{difference.field} is missing; git has {_short(difference.git)}"
    return f"{difference.field} is {_short(difference.cluster)}; git has {_short(difference.git)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def render_findings(findings: "Sequence[ClusterFinding]") -> str:
    """One line for each thing that a release would meet, with what to do about what is missing."""
    table = plain_table()
    for finding in findings:
        fix = f" [dim]{escape(finding.fix)}[/]" if finding.fix else ""
        table.add_row(SIGNS[finding.state], escape(finding.subject), escape(finding.message) + fix)
    unknown = sum(finding.state == "unknown" for finding in findings)
    note = f"{unknown} could not be looked at\n" if unknown else ""
    return (render(table) + note).rstrip("\n")
