"""A new kind of check is a file with its schema, a file with its evaluation, and a row of each table: the spec, the
verdict, the page, the Markdown and the terminal then know it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from components.evaluate.checks.kinds import EVALUATIONS
from training.spec.checks.kinds import CHECKS

ROOT = Path(__file__).parents[2]
FLOORS = ("training", "delivery", "components", "pipelines")
SCHEMA = '''
from typing import Literal

from training.spec.checks.check import QualityCheck


class EvenCheck(QualityCheck):
    """The number of test rows is even."""

    kind: Literal["even_rows"]
    rest: int = 0
    required: bool = True
'''
EVALUATION = """
from components.evaluate.checks.demand import Demand
from components.evaluate.shared.scored import Measured
from delivery.documents.verdict import CheckResult
from training.spec.checks.even_rows import EvenCheck


def evaluate_even_rows(check: EvenCheck, measured: Measured) -> CheckResult:
    rest = measured.served.rows % 2
    return Demand(check, "even rows", check.rest, "<=", "rows").result(rest, f"Of pairs of rows {rest} <is> left.")
"""
ROWS = {
    "training/spec/checks/kinds.py": {
        "AnyCheck = (\n": "AnyCheck = (\n    EvenCheck\n    | ",
        "from training.spec.checks.drift_bound": "from training.spec.checks.even_rows import EvenCheck\n"
        "from training.spec.checks.drift_bound",
    },
    "components/evaluate/checks/kinds.py": {
        "    spec.AbsoluteCheck: ": "    EvenCheck: evaluate_even_rows,\n    spec.AbsoluteCheck: ",
        "from components.evaluate.shared.scored": "from components.evaluate.checks.even_rows import "
        "evaluate_even_rows\nfrom training.spec.checks.even_rows import EvenCheck\n"
        "from components.evaluate.shared.scored",
    },
}
PROGRAM = """
import json, sys
from pathlib import Path
from sklearn.linear_model import LogisticRegression
from components.evaluate.publish import publish
from delivery.documents.verdict import Verdict
from delivery.documents.verdict_markdown import verdict_text
from harness.evaluated import make_case, shuffled
from pipelines.wording import render_verdict
from sklearn.datasets import load_wine
from training.errors import InputError
from training.spec import json_schema, parse_spec
import yaml

def refusal(check):
    column = {"type": "float", "unit": "", "nullable": False}
    raw = {"name": "m", "task": "classification", "description": "d", "data": {"source": "d.csv", "target": "y",
           "columns": {"y": column, "k": column}, "key": "k", "split": {"by": "key", "test": 0.3}},
           "quality": {"metric": "f1", "checks": [check]}}
    try:
        return parse_spec(yaml.safe_dump(raw), "spec.yaml").quality.checks[0].kind
    except InputError as error:
        return str(error)

case = make_case(Path(sys.argv[1]), "classification", shuffled(load_wine(as_frame=True).frame), "target")
model = case.save("c", LogisticRegression(max_iter=1000))
case.run(model, metric="accuracy", checks=[{"kind": "even_rows"}, {"kind": "servable", "rows": 41}])
verdict = Verdict.read(case.root / "verdict.json")
print(json.dumps({
    "fits": refusal({"kind": "even_rows"}),
    "refused": refusal({"kind": "even_rows", "rst": 1}),
    "schema": "EvenCheck" in json_schema()["$defs"],
    "verdict": verdict.checks[0].model_dump(mode="json"),
    "page": (case.root / "report.html").read_text(),
    "markdown": verdict_text(verdict),
    "terminal": render_verdict(verdict),
}))
"""


def test_a_new_kind_of_check_is_its_own_files_and_a_row_of_each_table(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, tree / floor, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "training/spec/checks/even_rows.py").write_text(SCHEMA)
    (tree / "components/evaluate/checks/even_rows.py").write_text(EVALUATION)
    for file, changes in ROWS.items():
        text = (tree / file).read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new, 1)
        (tree / file).write_text(text)

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tree), str(ROOT / "tests")])}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "case")]
    result = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout.splitlines()[-1])

    assert shown["fits"] == "even_rows" and shown["schema"]
    assert "quality.checks.0.rst: unknown key. Did you mean 'rest'?" in shown["refused"]
    assert (shown["verdict"]["kind"], shown["verdict"]["status"], shown["verdict"]["observed"]) == (
        *("even_rows", "failed"),
        1,
    )
    assert "even rows" in shown["page"] and "1 &lt;is&gt; left" in shown["page"]
    assert "even rows" in shown["markdown"] and "even rows" in shown["terminal"]
    assert "1 <is> left." in shown["terminal"]


def test_every_kind_that_a_spec_can_name_is_evaluated() -> None:
    assert set(EVALUATIONS) == set(CHECKS)
