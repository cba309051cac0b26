"""What is told of a run: made from its verdict, the same for every channel."""

from dataclasses import dataclass, replace
from typing import Literal

from delivery.documents.verdict import Verdict
from pipelines.backends.remote import RemoteRun
from pipelines.wording import describe_check, describe_contender, format_measure

Kind = Literal["failed", "refused", "released"]
HEADLINES: dict[Kind, str] = {
    "failed": "The run of {model} failed",
    "refused": "Checks failed: {model}",
    "released": "{model} version {version} is released",
}
LONGEST = 1500
"""Characters of an error that are told; the log has the rest."""


@dataclass(frozen=True)
class Notice:
    """How a run ended, for people who were not there."""

    kind: Kind
    model: str
    run: str
    version: str = ""
    message: str = ""
    """What went wrong, or what is to be known besides."""
    refusals: tuple[tuple[str, str], ...] = ()
    """Name and reason of each check that refused."""
    columns: tuple[str, ...] = ()
    """Who predicted the test rows: candidate, champion, baseline."""
    metrics: tuple[tuple[str, ...], ...] = ()
    """Name of a metric and its value for each column, the metric of record first."""
    links: tuple[tuple[str, str], ...] = ()
    """What is there, and its address or path."""

    @property
    def headline(self) -> str:
        proposed = self.kind == "released" and any(what == "pull request" for what, _ in self.links)
        text = HEADLINES[self.kind].format(model=self.model, version=self.version)
        return text.replace("is released", "is proposed") if proposed else text


def notice_of(
    kind: Kind,
    model: str,
    run: str,
    verdict: Verdict | None = None,
    *,
    version: str = "",
    message: str = "",
    links: tuple[tuple[str, str], ...] = (),
) -> Notice:
    """A notice with the evidence of a verdict."""
    shown = Notice(kind, model, run, version, message[:LONGEST], links=tuple((what, to) for what, to in links if to))
    if verdict is None:
        return shown
    names = [verdict.metric, *(name for name in verdict.contenders[0].metrics if name != verdict.metric)][:4]
    return replace(
        shown,
        refusals=tuple((check.name, describe_check(check)) for check in verdict.refusals),
        columns=tuple(describe_contender(contender) for contender in verdict.contenders),
        metrics=tuple(
            (name, *(format_measure(contender.metrics.get(name)) for contender in verdict.contenders)) for name in names
        ),
    )


def notice_of_remote(run: RemoteRun) -> Notice | None:
    """What a remote run has to say; None for one that goes on, was cancelled, or ended before it was judged."""
    steps = [step for step in run.steps if step.state == "failed"]
    logs = [f"the whole log of {step.name}: {step.log}" for step in steps if step.log]
    failed = [f"{step.name}: {step.message or 'failed'}" for step in steps]
    message = "\n".join([*([run.message] if run.message else []), *failed, *logs])
    links = (("run", run.link),)
    if run.decision == "reject":
        return notice_of("refused", run.model, run.run, message=message, links=links)
    if run.state == "failed":
        return notice_of("failed", run.model, run.run, message=message, links=links)
    deployed = any(step.name == "deploy" and step.state == "succeeded" for step in run.steps)
    if run.state == "succeeded" and deployed:
        return notice_of("released", run.model, run.run, message=run.message, links=links)
    return None
