"""The two documents that travel between steps: the data card and the verdict.

Both are frozen, versioned and written as sorted JSON. The report page, the registry's tags, the commit
message and the exit code are all views of the verdict; nothing else decides.
"""

from datetime import datetime
from typing import Literal

from delivery.documents.document import Document
from training.errors import GateRefused
from training.spec import Frozen, Task


class Measure(Frozen):
    """A value with its confidence interval. `low` and `high` are None where no interval is defined."""

    value: float
    low: float | None = None
    high: float | None = None


class Contender(Frozen):
    """One of those that predicted the test rows."""

    role: Literal["candidate", "champion", "baseline"]
    name: str
    version: str = ""
    """Model version in the registry; empty for a candidate and a baseline."""
    digest: str = ""
    """Model digest; empty for a baseline."""
    metrics: dict[str, Measure]


class CheckResult(Frozen):
    name: str
    """Short and unique in the verdict, such as `mae against champion`."""
    kind: str
    """As `quality.checks` of spec.yaml names it."""
    metric: str = ""
    observed: float | None
    """What was compared: for checks against another, the interval's unfavourable end."""
    bound: float | None
    comparison: Literal["<=", ">="]
    unit: str = ""
    status: Literal["passed", "failed", "undecided", "not applicable"]
    """`undecided`: who should have judged could not; a required check then refuses as one that failed."""
    required: bool
    reason: str
    """One sentence for a person: what was observed, against what."""

    @property
    def refuses(self) -> bool:
        """Whether the candidate does not go live for it: a required check failed, or nobody could decide it."""
        return self.required and self.status in ("failed", "undecided")


class SliceResult(Frozen):
    column: str
    value: str
    rows: int
    metric: str
    candidate: float
    champion: float | None = None
    worse: bool = False
    """Whether the candidate is worse here than the champion."""


class DriftResult(Frozen):
    column: str
    method: str
    score: float
    threshold: float
    drifted: bool


class Latency(Frozen):
    """Of one-row requests over the runtime's protocol."""

    concurrency: int
    """Requests at a time, each on a connection of its own."""
    p50_ms: float
    p99_ms: float
    calls: int
    """Requests that were timed."""


class Behaviour(Frozen):
    """One thing that the protocol promises of a language model's server, tried."""

    name: str
    """Such as `streaming` or `stop`."""
    held: bool
    reason: str
    """What was asked and what came."""


class Streaming(Frozen):
    """Of streamed answers, one request at a time."""

    first_token_p50_ms: float
    first_token_p99_ms: float
    tokens_per_s: float
    """Of all answers together, first tokens included."""
    calls: int


class ServingProof(Frozen):
    """What the runtime did with the candidate, in a fresh process, as KServe would start it."""

    runtime: str
    """As the spec names it."""
    ran: str
    """What ran here, with its versions."""
    protocol: Literal["v1", "v2", "openai"]
    rows: int
    """Of the seeded sample of the test rows that it answered."""
    worst_difference: float | None
    """Numbers: the largest relative difference from the offline predictions. Classes and texts: the share of rows with
    another one. None where there was no answer to compare."""
    tolerance: float
    """Largest difference that is allowed; 0 for classes."""
    sample_digest: str = ""
    """`sha256:` of the sample's rows and answers, which `ostinato verify` asks the live endpoint for."""
    cold_start_s: float | None = None
    """From the start of the process to its first inference answered."""
    latency: tuple[Latency, ...] = ()
    behaviours: tuple[Behaviour, ...] = ()
    """Of the OpenAI protocol; each must hold."""
    streaming: Streaming | None = None
    """Of a language model."""
    size_bytes: int
    """Of the model folder."""
    failure: str = ""
    """Why it could not be served; empty if it was."""


class AnswerRow(Frozen):
    """One fixed question, what should have been said, and what everyone said."""

    id: str
    question: str
    """The last user message."""
    reference: str
    candidate: str
    champion: str | None = None
    baseline: str | None = None
    scores: dict[str, float]
    """The candidate's metrics of this row alone."""


class JudgeReport(Frozen):
    """What a language model said about candidate and another, question by question, in both orders."""

    url: str
    model: str
    against: Literal["champion", "baseline"]
    questions: int
    wins: int
    losses: int
    ties: int
    """Equal by the judge's word, or another answer in the other order."""
    swayed: int
    """Of the ties: the answer changed with the order."""
    unanswered: int
    """Questions without a usable answer."""
    calls: int
    """That were made now."""
    cached: int
    """That were answered by content from before."""
    agreement: float | None = None
    """Share of the labelled pairs where it says what people said; None without labels."""
    labelled: int = 0
    labelled_by: str = ""
    """Who made the labels, as their file says."""
    failure: str = ""
    """Why it can't be believed; empty if it can."""

    @property
    def win_rate(self) -> float | None:
        """Wins and half of the ties, of the questions that it answered."""
        answered = self.wins + self.losses + self.ties
        return (self.wins + self.ties / 2) / answered if answered else None


class Verdict(Document):
    """`verdict.json`: candidate and champion on identical rows, every check, and the decision."""

    schema_version: Literal["ostinato.verdict/1"] = "ostinato.verdict/1"
    model: str
    task: Task
    decision: Literal["pass", "reject"]
    """`pass` when every required check passed or was not applicable: none failed, none is undecided."""
    metric: str
    """The metric of record."""
    direction: Literal["lower", "higher"]
    confidence: float
    rows: int
    """Test rows that every contender predicted."""
    sample_rows: int
    """Rows of the seeded sample behind the Evidently report."""
    contenders: tuple[Contender, ...]
    differences: dict[str, Measure]
    """Candidate minus champion, paired on the rows; empty without a champion."""
    checks: tuple[CheckResult, ...]
    slices: tuple[SliceResult, ...] = ()
    drift: tuple[DriftResult, ...] = ()
    served: ServingProof | None = None
    """None in verdicts of before there was a proof."""
    answers: tuple[AnswerRow, ...] = ()
    """Of a language model: every question, or a seeded sample of 200."""
    judges: tuple[JudgeReport, ...] = ()
    """One for each opponent that a check names."""
    data_fingerprint: str
    test_from: datetime | None = None
    test_to: datetime | None = None
    spec_digest: str
    """Digest of the spec's data, training and quality parts."""
    code: str
    """Digest of the code that judged."""
    warnings: tuple[str, ...] = ()

    def contender(self, role: Literal["candidate", "champion", "baseline"]) -> Contender | None:
        return next((contender for contender in self.contenders if contender.role == role), None)

    @property
    def refusals(self) -> tuple[CheckResult, ...]:
        """The required checks that failed, or that nobody could decide."""
        return tuple(check for check in self.checks if check.refuses)


def check_decision(verdict: Verdict) -> None:
    """Raises GateRefused with every failed check and its reason unless the verdict is a pass."""
    if verdict.decision != "pass":
        reasons = "\n".join(f"  {check.name}: {check.reason}" for check in verdict.refusals)
        raise GateRefused(
            f"checks failed: the candidate of {verdict.model} was neither registered nor released:\n{reasons}"
        )
