"""What a step's container imports before its work: it is waited for at every step."""

import os
import subprocess
import sys

import pytest

HEAVY = ("evidently", "kfp.client", "kfp.compiler", "matplotlib", "mlflow", "pandas", "polars", "pyarrow", "sklearn")
STEPS = ("champion", "deploy", "evaluate", "preprocess", "register", "train")
MODULES = {step: f"components.{step}.steps" for step in STEPS} | {"preflight": "delivery.releases.preflight"}
"""What the body of each component calls."""


@pytest.mark.parametrize("step", MODULES)
def test_a_step_reaches_its_work_without_the_libraries_that_it_may_not_need(step: str) -> None:
    # As in a container: kfp's runtime, then the module whose function the component's body calls.
    module = MODULES[step]
    code = f"import sys, kfp.dsl.executor_main, {module}\nprint(*sorted(set(sys.modules)))"
    env = {**os.environ, "_KFP_RUNTIME": "true"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert module in imported
    assert imported.isdisjoint(HEAVY)
