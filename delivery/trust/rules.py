"""Whether a version may go live by the policy: which rule forbids it, why, and from when on it would be allowed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from delivery.documents.verdict import CheckResult, Verdict
from delivery.registry.judged import VERDICT_FILE
from delivery.registry.mlflow import mlflow_client
from delivery.registry.run_files import RunFiles
from delivery.registry.versions import ModelVersion
from delivery.trust.policy import Rules
from training.errors import OstinatoError
from training.spec.section import parse_duration

SKIP = "Ostinato-Skip"
"""Trailer of a release's commit: a required check that it goes without."""
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Request:
    """A version that is to go live."""

    version: ModelVersion
    author: str
    """Email address of the commit's author."""
    skips: tuple[str, ...]
    """Required checks that the commit's trailers ask to go without."""
    released: Callable[[], dict[str, datetime]]
    """When each version of the model first came to the live branch; read only where a rule asks."""
    proposal: bool = False
    """Whether it only becomes a proposal; the calendar counts when that is merged."""


def broken_rules(rules: Rules, request: Request, tracking_uri: str) -> list[str]:
    """Each rule that forbids it. Raises OstinatoError if the registry can't be read."""
    now = datetime.now(UTC)
    problems = []
    if rules.required_checks:
        raw = RunFiles(mlflow_client(tracking_uri), request.version.run_id).get(VERDICT_FILE)
        if raw is None:
            raise OstinatoError(
                f"the policy has required_checks, but the run of version {request.version.version} of "
                f"{request.version.name} has no {VERDICT_FILE}; register it again with `ostinato run`"
            )
        problems += _unmet_checks(rules, request, Verdict.parse_bytes(raw, VERDICT_FILE), now)
    problems += _too_old(rules, request.version, now)
    if not request.proposal:
        problems += _too_soon(rules, request, now)
    return problems


def _unmet_checks(rules: Rules, request: Request, verdict: Verdict, now: datetime) -> list[str]:
    problems = []
    for required in rules.required_checks:
        why = _unmet([check for check in verdict.checks if required in (check.name, check.kind)])
        if not why:
            continue
        if required in request.skips:
            if rules.allows_skip(required, request.author, now):
                continue
            why += f"; {request.author} may not skip it, by the policy's skip"
        problems.append(f"required_checks: {required}: {why}")
    return problems


def _unmet(checks: list[CheckResult]) -> str:
    """Why the check is not met, "" if it is. Against a champion that does not exist there is nothing to meet."""
    if not checks:
        return "the verdict has no check of that name or kind; add one to quality.checks of spec.yaml"
    return "; ".join(check.reason for check in checks if check.status not in ("passed", "not applicable"))


def _too_old(rules: Rules, version: ModelVersion, now: datetime) -> list[str]:
    if rules.max_verdict_age is None:
        return []
    made = datetime.fromtimestamp(version.created_ms / 1000, UTC)
    if now - made <= parse_duration(rules.max_verdict_age):
        return []
    return [
        f"max_verdict_age: {rules.max_verdict_age}, but version {version.version} was judged and registered at "
        f"{_utc(made)}; train again, on newer data"
    ]


def _too_soon(rules: Rules, request: Request, now: datetime) -> list[str]:
    """The rules of the calendar. A version that was released before is a way back, which they never hold up."""
    if rules.cool_down is None and rules.releases_per_week is None:
        return []
    released = request.released()
    if request.version.version in released:
        return []
    moments, problems = sorted(released.values()), []
    if rules.cool_down is not None and moments:
        allowed = moments[-1] + parse_duration(rules.cool_down)
        if now < allowed:
            problems.append(
                f"cool_down: {rules.cool_down}, but the last release was at {_utc(moments[-1])}; allowed from "
                f"{_utc(allowed)} on"
            )
    recent = [moment for moment in moments if now - moment < WEEK]
    if rules.releases_per_week is not None and len(recent) >= rules.releases_per_week:
        allowed = recent[-rules.releases_per_week] + WEEK
        problems.append(
            f"releases_per_week: {rules.releases_per_week}, and there were {len(recent)} in the last seven days; "
            f"allowed from {_utc(allowed)} on"
        )
    return problems


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
