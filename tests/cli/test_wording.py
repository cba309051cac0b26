"""What the end of a run says."""

import pytest

from delivery.documents.verdict import CheckResult, Contender, Measure, Verdict
from pipelines.run import Finished, Summary
from pipelines.wording import format_run, render_verdict


@pytest.mark.parametrize(
    ("percent", "line"), [(0, "version   3\n"), (10, "version   3, a canary with 10 % of the requests\n")]
)
def test_a_version_that_is_only_a_canary_is_not_called_live(percent: int, line: str) -> None:
    summary = Summary(
        run="run-1",
        model="bikes",
        decision="pass",
        version="3",
        commit="c0ffee",
        canary_percent=percent,
        pull_request="",
        note="",
        folder="run-1",
        page="run-1/index.html",
        seconds=1.0,
        steps={},
    )
    assert line in format_run(Finished(summary, None, None))


def a_check(status: str, reason: str, required: bool = True) -> CheckResult:
    return CheckResult.model_validate(
        {
            "name": f"judge [{status}]",
            "kind": "judge",
            "observed": None,
            "bound": 0.5,
            "comparison": ">=",
            "status": status,
            "required": required,
            "reason": reason,
        }
    )


def test_an_undecided_check_is_told_and_what_a_model_said_is_no_markup() -> None:
    checks = (
        a_check("undecided", "It is down."),
        a_check("undecided", "It is slow.", required=False),
        a_check("failed", "The first is to question 1: [/bold] [red]x[/red] [1]."),
    )
    verdict = Verdict(
        model="qa",
        task="generation",
        decision="reject",
        metric="token_f1",
        direction="higher",
        confidence=0.95,
        rows=3,
        sample_rows=3,
        contenders=(Contender(role="candidate", name="qa", metrics={"token_f1": Measure(value=0.5)}),),
        differences={},
        checks=checks,
        data_fingerprint="sha256:d",
        spec_digest="sha256:s",
        code="sha256:c",
    )
    lines = [" ".join(line.split()) for line in render_verdict(verdict).splitlines()]
    assert "? judge [undecided] It is down." in lines
    assert "? judge [undecided] It is slow. (not required)" in lines
    assert "✗ judge [failed] The first is to question 1: [/bold] [red]x[/red] [1]." in lines
