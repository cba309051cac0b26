"""Results as text for a terminal: ``format_`` gives lines, ``render_`` tables, ``describe_`` a phrase."""

import io
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from delivery.documents.verdict import CheckResult, Contender, Measure, Verdict
from delivery.git.repository import LIVE_BRANCH
from training.spec import TASKS

if TYPE_CHECKING:
    from delivery.releases.environments import Promotion
    from delivery.releases.live import Proposal
    from delivery.releases.reconcile import AliasChange
    from delivery.releases.rejection import Rejection
    from delivery.releases.release import Release
    from delivery.releases.retirement import Retirement
    from delivery.serving.clients.compare import ClassComparison, NumberComparison
    from delivery.trust.audit import Audit
    from delivery.trust.change import FileFinding
    from pipelines.estimate import Estimate
    from pipelines.run import Finished
    from pipelines.serve.verify import Verified
    from pipelines.status import ModelStatus

MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "undecided": "[yellow]?[/]", "not applicable": "[dim]–[/]"}


def format_run(finished: "Finished") -> str:
    """The end of `ostinato run`: the verdict, then what came of it and where the report is."""
    summary, parts = finished.summary, []
    if finished.verdict:
        parts.append(render_verdict(finished.verdict))
    if summary.decision:
        decision = "[bold green]pass[/]" if summary.decision == "pass" else "[bold red]reject[/]"
        parts.append(render(f"decision  {decision}"))
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


def render_verdict(verdict: Verdict) -> str:
    """Metrics by contender with their intervals, the metric of record first; then every check."""
    titles = [describe_contender(contender) for contender in verdict.contenders]
    contenders = plain_table(f"{verdict.rows:,} test rows", *titles, right=titles, wide=True)
    names = [verdict.metric, *(name for name in verdict.contenders[0].metrics if name != verdict.metric)]
    for name in names:
        contenders.add_row(name, *(format_measure(contender.metrics.get(name)) for contender in verdict.contenders))
    checks = plain_table()
    for check in verdict.checks:
        checks.add_row(MARKS[check.status], escape(check.name), escape(describe_check(check)))
    warnings = "".join(f"warning: {warning}\n" for warning in verdict.warnings)
    return render(contenders) + "\n" + render(checks) + "\n" + warnings


def describe_contender(contender: Contender) -> str:
    if contender.role == "champion":
        return f"champion (version {contender.version})"
    return contender.name if contender.role == "baseline" else contender.role


def format_measure(measured: Measure | None) -> str:
    if measured is None:
        return "–"
    if measured.low is not None and measured.high is not None:
        return f"{measured.value:.4g} ({measured.low:.4g} to {measured.high:.4g})"
    return f"{measured.value:.4g}"


def describe_check(check: CheckResult) -> str:
    note = "" if check.required or check.status not in ("failed", "undecided") else " (not required)"
    return f"{check.reason}{note}"


def render_status(rows: "Sequence[ModelStatus]") -> str:
    """One line a model, then what is open and what to type."""
    table = plain_table("model", "live (git)", "champion", "previous", "candidate", "in sync")
    for row in rows:
        in_sync = "[green]yes[/]" if row.agree else "[red]no[/]"
        versions = (row.live, row.champion, row.previous, row.candidate)
        table.add_row(row.model, *(version or "–" for version in versions), in_sync)
    lines = []
    for row in rows:
        if row.live:
            lines.append(f"{row.model}: {row.storage_uri} (manifests {row.commit[:12]})")
        if row.production:
            behind = "" if row.production == row.live else f"; ostinato promote {row.model} --to production"
            lines.append(f"{row.model}: version {row.production} is in production{behind}")
        if row.canary:
            gets = f"version {row.canary} is a canary and gets {row.canary_percent} % of the requests"
            if row.canary == row.live:
                gets = f"version {row.canary} takes over; its canary answers until it is rolled out"
            lines.append(f"{row.model}: {gets}; ostinato canary {row.model} --finish or --abort")
        if row.shadow:
            gets = f"version {row.shadow} is a shadow and gets a copy of the requests"
            lines.append(f"{row.model}: {gets}; ostinato shadow {row.model} --off")
        if not row.agree:
            run = "ostinato reconcile" if row.live else f"ostinato retire {row.model}"
            lines.append(f"{row.model}: the registry does not follow git; run: {run}")
        lines += [format_proposal(proposal) for proposal in row.proposals]
    return (render(table) + "\n".join(lines)).rstrip("\n")


def format_proposal(proposal: "Proposal") -> str:
    where = proposal.url or proposal.branch
    draft, note = ", as a draft" if proposal.draft else "", f" ({proposal.note})" if proposal.note else ""
    return f"{proposal.model}: version {proposal.version} is proposed at {where}{draft}{note}"


def format_release(release: "Release") -> str:
    what = f"version {release.version}"
    if release.canary_percent:
        what = f"the canary, version {release.version} with {release.canary_percent} % of the requests,"
    already = "" if release.changed else " already"
    line = f"{release.model}: {what} is on {release.branch}{already} (commit {release.commit[:12]})"
    return "\n".join([line, *_besides(release)])


def render_comparison(comparison: "NumberComparison | ClassComparison") -> str:
    """The two answers side by side, then how far they agree."""
    from delivery.serving.clients.compare import NumberComparison

    table = plain_table(f"{comparison.rows:,} rows", "live", "shadow", right=("live", "shadow"), wide=True)
    if isinstance(comparison, NumberComparison):
        for name in ("mean", "std", "q01", "q50", "q99"):
            table.add_row(name, *(f"{getattr(answers, name):.4g}" for answers in (comparison.live, comparison.shadow)))
        coefficient = comparison.correlation
        correlation = "none: one of the two is constant" if coefficient is None else f"{coefficient:.4f}"
        agree = {
            "mean difference": f"{comparison.mean_difference:+.4g} (shadow minus live)",
            "largest difference": f"{comparison.largest_difference:+.4g}",
            "equal answers": f"{comparison.share_equal:.2%}",
            "correlation": correlation,
        }
        return render(table) + "\n".join(["", *(f"{name:<20}{value}" for name, value in agree.items())])
    for label in comparison.classes:
        table.add_row(label, *(f"{shares[label]:.2%}" for shares in (comparison.live, comparison.shadow)))
    crossed = plain_table("live \\ shadow", *comparison.classes, right=comparison.classes, wide=True)
    for label in comparison.classes:
        crossed.add_row(label, *(f"{comparison.confusion[label][other]:,}" for other in comparison.classes))
    return f"{render(table)}\n{render(crossed)}\nthe same class      {comparison.agreement:.2%}"


def format_verified(verified: "Verified") -> str:
    version = f"{verified.model} version {verified.version}"
    if TASKS[verified.task].is_language_model:
        return (
            f"{verified.url} answers as {version} was judged: {verified.rows} questions of the test sample, "
            f"{verified.worst_difference:.0%} of them in other words. Its protocol has no place for a digest, so a "
            "model that answers alike can't be told from it"
        )
    known = "" if verified.named else "; it does not say its digest, and is known by its answers"
    return (
        f"{verified.url} is {version}: it answers {verified.rows} rows of the test sample as it was judged "
        f"(largest difference {verified.worst_difference:g}){known}"
    )


def format_promotion(promotion: "Promotion") -> str:
    environment, already = promotion.environment, "" if promotion.changed else " already"
    is_live = promotion.branch == LIVE_BRANCH
    where = f"is in {environment}" if is_live else f"for {environment} is on {promotion.branch}"
    line = f"{promotion.model}: version {promotion.version} {where}{already} (commit {promotion.commit[:12]})"
    return "\n".join([line, *_besides(promotion)])


def format_retirement(retirement: "Retirement") -> str:
    """Where it is taken out, then what ends it in the cluster."""
    is_live, already = retirement.branch == LIVE_BRANCH, "" if retirement.changed else " already"
    where = f"is out of {LIVE_BRANCH}{already}" if is_live else f"is to be taken out by {retirement.branch}{already}"
    lines = [f"{retirement.model}: {where} (commit {retirement.commit[:12]}); version {retirement.version} was live"]
    lines += _besides(retirement)
    when = "now" if is_live else "when it is merged"
    return "\n".join(
        [*lines, f"The cluster keeps it; {when}, in this order:", *(f"  {c}" for c in retirement.commands)]
    )


def _besides(change: "Release | Promotion | Retirement") -> list[str]:
    """Where it is proposed, and what else is to be known."""
    besides = (f"pull request {change.pull_request}" if change.pull_request else "", change.note)
    return [f"{change.model}: {text}" for text in besides if text]


def format_aliases(changes: "Sequence[AliasChange]") -> str:
    lines = (
        f"{change.registered_model}@{change.alias}: {change.before or 'none'} -> {change.after or 'none'}"
        for change in changes
    )
    return "\n".join(lines) or "the registry's aliases follow git already"


def format_rejections(changes: "Sequence[Rejection]") -> str:
    """One line each, with its line break."""
    states = (f"is rejected: {change.why}" if change.why else "is rejected no more" for change in changes)
    lines = (f"{change.model}: version {change.version} {state}" for change, state in zip(changes, states, strict=True))
    return "".join(f"{line}\n" for line in lines)


def render_audit(audit: "Audit") -> str:
    """One line a link of the chain."""
    colours = {"holds": "green", "broken": "bold red", "not signed": "yellow", "not checked": "dim"}
    table = plain_table()
    for link in audit.links:
        table.add_row(escape(link.name), f"[{colours[link.state]}]{link.state}[/]", escape(link.detail))
    return f"{audit.model} version {audit.version or 'none'}\n" + render(table).rstrip("\n")


def render_change(files: "Sequence[FileFinding]") -> str:
    """One line a file of the change."""
    table = plain_table()
    for file in files:
        state = "[bold red]refused[/]" if file.problems else "[green]fine[/]"
        table.add_row(escape(file.path), state, escape(file.detail or file.problems[0]))
    return render(table).rstrip("\n") if files else "nothing changed"


def render_estimate(estimate: "Estimate") -> str:
    """One line a step, the sum, and what is not known."""
    priced = estimate.known_cost is not None
    names = ("step", "median", "range", "runs", *(("machine", "an hour", "cost") if priced else ()))
    table = plain_table(*names, right={*names} - {"step", "machine"}, wide=True)
    for step in estimate.steps:
        spread = "–" if step.low is None or step.high is None else f"{step.low:.1f} to {step.high:.1f} s"
        row = [step.step, _seconds(step.seconds), spread, str(step.runs)]
        table.add_row(*row, *((step.machine, _price(step.hour), _price(step.cost)) if priced else ()))
    lines = [f"{estimate.model} on {estimate.backend}: {_seconds(estimate.seconds)} in all" if estimate.seconds else ""]
    if estimate.cost is not None:
        lines.append(f"{estimate.cost:.2f} {estimate.currency} in all, by prices of {estimate.prices_read}")
    elif estimate.known_cost is not None:
        lines.append(f"at least {estimate.known_cost:.2f} {estimate.currency}, by prices of {estimate.prices_read}")
    lines = [line for line in lines if line] + [f"- {note}" for note in estimate.notes]
    return render(table) + "\n" + "\n".join(lines)


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _price(price: float | None) -> str:
    return "not known" if price is None else f"{price:.4f}"


def plain_table(*columns: str, right: Collection[str] = (), wide: bool = False) -> Table:
    """Without lines, and without a header where no column has a name. right: columns of numbers."""
    padding = (0, 3, 0, 0) if wide else (0, 1)
    table = Table(box=None, pad_edge=False, show_header=bool(columns), header_style="bold", padding=padding)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left")
    return table


def render(content: Table | str) -> str:
    """As terminal text: with colours on a terminal, plain elsewhere."""
    terminal = Console()
    text = Console(file=io.StringIO(), width=terminal.width, force_terminal=terminal.is_terminal, highlight=False)
    text.print(content)
    file = text.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()
