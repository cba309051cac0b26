"""How results are told on a terminal."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from delivery.documents.verdict import CheckResult, Contender, Measure, Verdict
from delivery.git.repository import LIVE_BRANCH

if TYPE_CHECKING:
    from delivery.releases.environments import Promotion
    from delivery.releases.live import Proposal
    from delivery.releases.reconcile import AliasChange
    from delivery.releases.rejection import Rejection
    from delivery.releases.release import Release
    from delivery.serving.clients.compare import ClassComparison, NumberComparison
    from delivery.trust.audit import Audit
    from delivery.trust.change import FileFinding
    from pipelines.estimate.estimate import Estimate
    from pipelines.run import Finished
    from pipelines.serve.verify import Verified
    from pipelines.status import ModelStatus

MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "undecided": "[yellow]?[/]", "not applicable": "[dim]–[/]"}


def told(finished: "Finished") -> str:
    """The end of `ostinato run`: the verdict, then what came of it and where the report is."""
    summary, parts = finished.summary, []
    if finished.verdict:
        parts.append(verdict_table(finished.verdict))
    if summary.decision:
        decision = "[bold green]pass[/]" if summary.decision == "pass" else "[bold red]reject[/]"
        parts.append(rendered(f"decision  {decision}"))
    if summary.version:
        share = f", a canary with {summary.canary_percent} % of the requests" if summary.canary_percent else ""
        parts.append(f"version   {summary.version}{share}\n")
    if summary.commit:
        parts.append(f"commit    {summary.commit}\n")
    if summary.pull_request:
        parts.append(f"proposed  {summary.pull_request}\n")
    if summary.note:
        parts.append(f"note      {summary.note}\n")
    parts.append(f"report    {summary.page}\n")
    parts.append(f"run       {summary.run}, {summary.seconds:.1f} s\n")
    return "".join(parts).rstrip("\n")


def verdict_table(verdict: Verdict) -> str:
    """Metrics by contender with their intervals, the metric of record first; then every check."""
    contenders = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    contenders.add_column(f"{verdict.rows:,} test rows")
    for one in verdict.contenders:
        contenders.add_column(called(one), justify="right")
    names = [verdict.metric, *(name for name in verdict.contenders[0].metrics if name != verdict.metric)]
    for name in names:
        contenders.add_row(name, *(measure(one.metrics.get(name)) for one in verdict.contenders))
    checks = Table(box=None, pad_edge=False, show_header=False)
    for check in verdict.checks:
        checks.add_row(MARKS[check.status], escape(check.name), escape(outcome(check)))
    warnings = "".join(f"warning: {warning}\n" for warning in verdict.warnings)
    return rendered(contenders) + "\n" + rendered(checks) + "\n" + warnings


def called(one: Contender) -> str:
    if one.role == "champion":
        return f"champion (version {one.version})"
    return one.name if one.role == "baseline" else one.role


def measure(found: Measure | None) -> str:
    if found is None:
        return "–"
    if found.low is not None and found.high is not None:
        return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"
    return f"{found.value:.4g}"


def outcome(check: CheckResult) -> str:
    note = "" if check.required or check.status not in ("failed", "undecided") else " (not required)"
    return f"{check.reason}{note}"


def status_table(rows: "Sequence[ModelStatus]") -> str:
    """One line a model, then what is open and what to type."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "live (git)", "champion", "previous", "candidate", "agree"):
        table.add_column(name)
    for row in rows:
        agree = "[green]yes[/]" if row.agree else "[red]no[/]"
        table.add_row(row.model, *(one or "–" for one in (row.live, row.champion, row.previous, row.candidate)), agree)
    lines = []
    for row in rows:
        if row.live:
            lines.append(f"{row.model}: {row.storage_uri} (manifests {row.commit[:12]})")
        if row.production:
            behind = "" if row.production == row.live else f"; ostinato promote {row.model} --to production"
            lines.append(f"{row.model}: version {row.production} is in production{behind}")
        if row.canary:
            gets = f"version {row.canary} is a canary and gets {row.canary_percent} % of the requests"
            lines.append(f"{row.model}: {gets}; ostinato canary {row.model} --finish or --abort")
        if row.shadow:
            gets = f"version {row.shadow} is a shadow and gets a copy of the requests"
            lines.append(f"{row.model}: {gets}; ostinato shadow {row.model} --off")
        if not row.agree:
            lines.append(f"{row.model}: the registry does not follow git; run: ostinato reconcile")
        lines += [proposal_line(one) for one in row.proposals]
    return (rendered(table) + "\n".join(lines)).rstrip("\n")


def proposal_line(one: "Proposal") -> str:
    where = one.url or one.branch
    draft = ", as a draft" if one.draft else ""
    return f"{one.model}: version {one.version} is proposed at {where}{draft}" + (f" ({one.note})" if one.note else "")


def release_line(done: "Release") -> str:
    what = f"version {done.version}"
    if done.canary_percent:
        what = f"the canary, version {done.version} with {done.canary_percent} % of the requests,"
    already = "" if done.changed else " already"
    proposed = f"\n{done.model}: pull request {done.pull_request}" if done.pull_request else ""
    note = f"\n{done.model}: {done.note}" if done.note else ""
    return f"{done.model}: {what} is on {done.branch}{already} (commit {done.commit[:12]}){proposed}{note}"


def comparison_table(found: "NumberComparison | ClassComparison") -> str:
    """The two answers side by side, then how far they agree."""
    from delivery.serving.clients.compare import NumberComparison

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for title in (f"{found.rows:,} rows", "live", "shadow"):
        table.add_column(title, justify="left" if "rows" in title else "right")
    if isinstance(found, NumberComparison):
        for name in ("mean", "std", "q01", "q50", "q99"):
            table.add_row(name, *(f"{getattr(one, name):.4g}" for one in (found.live, found.shadow)))
        correlation = "none: one of the two is constant" if found.correlation is None else f"{found.correlation:.4f}"
        agree = {
            "mean difference": f"{found.mean_difference:+.4g} (shadow minus live)",
            "largest difference": f"{found.largest_difference:+.4g}",
            "equal answers": f"{found.share_equal:.2%}",
            "correlation": correlation,
        }
        return rendered(table) + "\n".join(["", *(f"{name:<20}{value}" for name, value in agree.items())])
    for label in found.classes:
        table.add_row(label, *(f"{shares[label]:.2%}" for shares in (found.live, found.shadow)))
    crossed = Table("live \\ shadow", box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for label in found.classes:
        crossed.add_column(label, justify="right")
    for label in found.classes:
        crossed.add_row(label, *(f"{found.confusion[label][other]:,}" for other in found.classes))
    return f"{rendered(table)}\n{rendered(crossed)}\nthe same class      {found.agreement:.2%}"


def verified_line(done: "Verified") -> str:
    if done.task == "generation":
        return (
            f"{done.url} answers as {done.model} version {done.version} was judged: {done.rows} questions of the test "
            f"sample, {done.worst_difference:.0%} of them in other words. Its protocol has no place for a digest, so a "
            "model that answers alike can't be told from it"
        )
    known = "" if done.named else "; it does not say its digest, and is known by its answers"
    return (
        f"{done.url} is {done.model} version {done.version}: it answers {done.rows} rows of the test sample as it was "
        f"judged (largest difference {done.worst_difference:g}){known}"
    )


def promotion_line(done: "Promotion") -> str:
    already = "" if done.changed else " already"
    what = f"is in {done.environment}" if done.branch == LIVE_BRANCH else f"for {done.environment} is on {done.branch}"
    proposed = f"\n{done.model}: pull request {done.pull_request}" if done.pull_request else ""
    note = f"\n{done.model}: {done.note}" if done.note else ""
    return f"{done.model}: version {done.version} {what}{already} (commit {done.commit[:12]}){proposed}{note}"


def alias_lines(changes: "Sequence[AliasChange]") -> str:
    lines = [f"{one.registered_model}@{one.alias}: {one.before or 'none'} -> {one.after or 'none'}" for one in changes]
    return "\n".join(lines) or "the registry's aliases follow git already"


def rejection_lines(changes: "Sequence[Rejection]") -> str:
    """One line each, with its line break."""
    told = (
        f"version {one.version} {'is rejected: ' + one.why if one.why else 'is rejected no more'}" for one in changes
    )
    return "".join(f"{one.model}: {line}\n" for one, line in zip(changes, told, strict=True))


def audit_table(found: "Audit") -> str:
    """One line a link of the chain."""
    colours = {"holds": "green", "broken": "bold red", "not signed": "yellow", "not checked": "dim"}
    table = Table(box=None, pad_edge=False, show_header=False)
    for link in found.links:
        table.add_row(escape(link.name), f"[{colours[link.state]}]{link.state}[/]", escape(link.detail))
    return f"{found.model} version {found.version or 'none'}\n" + rendered(table).rstrip("\n")


def change_table(files: "Sequence[FileFinding]") -> str:
    """One line a file of the change."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in files:
        said = "[bold red]refused[/]" if one.problems else "[green]fine[/]"
        table.add_row(escape(one.path), said, escape(one.detail or one.problems[0]))
    return rendered(table).rstrip("\n") if files else "nothing changed"


def estimate_table(found: "Estimate") -> str:
    """One line a step, the sum, and what is not known."""
    priced = found.backend == "vertex"
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for name in ("step", "median", "range", "runs", *(("machine", "an hour", "cost") if priced else ())):
        table.add_column(name, justify="left" if name in ("step", "machine") else "right")
    for step in found.steps:
        spread = "–" if step.low is None or step.high is None else f"{step.low:.1f} to {step.high:.1f} s"
        row = [step.step, _seconds(step.seconds), spread, str(step.runs)]
        table.add_row(*row, *((step.machine, _price(step.hour), _price(step.cost)) if priced else ()))
    lines = [f"{found.model} on {found.backend}: {_seconds(found.seconds)} in all" if found.seconds else ""]
    if found.cost is not None:
        lines.append(f"{found.cost:.2f} {found.currency} in all, by prices of {found.prices_read}")
    elif found.known_cost is not None:
        lines.append(f"at least {found.known_cost:.2f} {found.currency}, by prices of {found.prices_read}")
    told = [line for line in lines if line] + [f"- {note}" for note in found.notes]
    return rendered(table) + "\n" + "\n".join(told)


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _price(price: float | None) -> str:
    return "not known" if price is None else f"{price:.4f}"


def rendered(what: Table | str) -> str:
    """As terminal text: with colours on a terminal, plain elsewhere."""
    here = Console()
    text = Console(file=io.StringIO(), width=here.width, force_terminal=here.is_terminal, highlight=False)
    text.print(what)
    file = text.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()
