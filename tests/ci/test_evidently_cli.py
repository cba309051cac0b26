"""Evidently's own gate, by the very command of the workflow: it says yes, it says no, and it misses nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "evidently-report.yaml"


def report(file: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """The workflow's step, in a folder of its own."""
    match = re.search(r"run: (\.venv/bin/evidently report .*)", WORKFLOW.read_text())
    assert match
    words = match[1].replace('"$FILE"', str(file)).replace("evidently-report.json", str(out)).split()
    command = [str(Path(sys.executable).parent / "evidently"), *words[1:]]
    env = {**os.environ, "DO_NOT_TRACK": "1"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def predictions(error: float, hole: bool = False) -> str:
    """Two hundred hours, each predicted with the same error up or down."""
    rows = [(100 + 4 * i, 100 + 4 * i + (error if i % 2 else -error)) for i in range(200)]
    lines = [f"{target},{'' if hole and i == 7 else predicted}" for i, (target, predicted) in enumerate(rows)]
    return "\n".join(["target,prediction", *lines]) + "\n"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (predictions(10), 0, ["SUCCESS: Mean Absolute Error: Actual value 10.000"]),
        (
            predictions(120, hole=True),
            1,
            [
                "FAIL: Mean Absolute Error: Actual value 120.000",
                "FAIL: Column 'prediction' missing values: Actual value 1.000",
            ],
        ),
    ],
    ids=["good", "bad, and a row without a prediction"],
)
def test_the_command_ends_as_the_tests_of_the_configuration_do(
    tmp_path: Path, content: str, code: int, said: list[str]
) -> None:
    (tmp_path / "bikes.predictions").write_text(content)
    done = report(tmp_path / "bikes.predictions", tmp_path / "report.json")
    assert done.returncode == code, done.stdout + done.stderr
    assert all(one in done.stdout for one in said), done.stdout
    assert json.loads((tmp_path / "report.json").read_text())["metric_results"]
