"""A run of a recurring run, as Kubeflow Pipelines 2.17.0 recorded it, has one name: inside its steps and in the API."""

import json
from pathlib import Path
from typing import Any

import yaml

from components.run_name import run_name
from pipelines.backends.kubeflow.states import remote_run

RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"
GOLDEN = Path(__file__).parents[1] / "golden" / "demand-forecaster.yaml"


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"kfp-{name}.json").read_text())


def test_the_steps_of_a_scheduled_run_know_the_name_that_the_api_lists() -> None:
    run = remote_run(recorded("run-of-deleted-recurring"), (), "demand-forecaster", "https://kfp.example.org")
    steps = {step["customProperties"]["display_name"]["stringValue"]: step["customProperties"]
             for step in recorded("mlmd-executions-scheduled-run")}  # fmt: skip
    register = steps["register"]
    job_name = register["inputs"]["structValue"]["run"]
    assert job_name == "", "the engine leaves PIPELINE_JOB_NAME empty"
    # A pod's name begins with that of its workflow, which is the resource name.
    resource_name = register["pod_name"]["stringValue"].partition("-system-container-impl-")[0]
    assert run_name(job_name, resource_name) == run.run


def test_a_job_name_is_the_name_of_the_run_and_of_a_resource_name_the_last_part() -> None:
    assert run_name("demand-forecaster-1", "demand-forecaster-x7k2p") == "demand-forecaster-1"
    assert run_name("", "projects/1/locations/europe-west4/pipelineJobs/churn-1") == "churn-1"


def test_every_step_that_writes_down_its_run_gets_both_names() -> None:
    package = next(yaml.safe_load_all(GOLDEN.read_text()))
    constants = {
        task: {
            parameter: given["runtimeValue"]["constant"]
            for parameter, given in content["inputs"]["parameters"].items()
            if parameter.startswith("run")
        }
        for task, content in package["root"]["dag"]["tasks"].items()
    }
    both = {"run": "{{$.pipeline_job_name}}", "run_resource": "{{$.pipeline_job_resource_name}}"}
    assert {task: names for task, names in constants.items() if names} == {"register": both, "deploy": both}
