"""What the end of a run says."""

import pytest

from pipelines.run import Finished, Summary
from pipelines.wording import told


@pytest.mark.parametrize(
    ("percent", "line"),
    [(0, "version   3\n"), (10, "version   3, a canary with 10 % of the requests\n")],
)
def test_a_version_that_is_only_a_canary_is_not_called_live(percent: int, line: str) -> None:
    summary = Summary(
        run="run-1",
        model="bikes",
        decision="pass",
        version="3",
        commit="c0ffee",
        canary_percent=percent,
        folder="run-1",
        page="run-1/index.html",
        seconds=1.0,
        steps={},
    )
    assert line in told(Finished(summary, None, None))
