"""What the end of a run says."""

import pytest
from harness.verdicts import check, verdict

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


def test_an_undecided_check_is_told_and_what_a_model_said_is_no_markup() -> None:
    checks = (
        check("judge a", "undecided", "It is down."),
        check("judge b", "undecided", "It is slow.", required=False),
        check("judge c [x]", "failed", "The first is to question 1: [/bold] [red]x[/red] [1]."),
    )
    lines = [" ".join(line.split()) for line in render_verdict(verdict(checks=checks)).splitlines()]
    assert "? judge a It is down." in lines
    assert "? judge b It is slow. (not required)" in lines
    assert "✗ judge c [x] The first is to question 1: [/bold] [red]x[/red] [1]." in lines
