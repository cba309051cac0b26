"""The ServingRuntime is valid for KServe's CRD, locked down, and starts what the tests start."""

from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from harness.contracts import crd_validator
from jsonschema import Draft202012Validator

from delivery.serving.process.process import RunningServer
from delivery.serving.server.server import arguments
from training.spec import ServingSpec

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runtime() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "manifests" / "runtimes" / "ostinato-mlflow.yaml").read_text())


@pytest.fixture(scope="module")
def crd() -> Draft202012Validator:
    return crd_validator("servingruntimes", "v1alpha1")


def test_the_runtime_is_valid_for_kserves_crd(crd: Draft202012Validator, runtime: dict[str, Any]) -> None:
    assert [error.message for error in crd.iter_errors(runtime)] == []


def test_the_crd_check_would_notice_an_unknown_field(crd: Draft202012Validator, runtime: dict[str, Any]) -> None:
    wrong = {**runtime, "spec": {**runtime["spec"], "supportedFormats": []}}
    assert any("supportedFormats" in error.message for error in crd.iter_errors(wrong))


def test_the_runtime_is_the_one_that_a_spec_names_by_default(runtime: dict[str, Any]) -> None:
    serving = ServingSpec()
    assert runtime["metadata"] == {"name": serving.runtime}
    assert serving.model_format in {one["name"] for one in runtime["spec"]["supportedModelFormats"]}
    assert serving.protocol in runtime["spec"]["protocolVersions"]


def test_the_container_runs_the_server_with_arguments_that_it_knows(runtime: dict[str, Any]) -> None:
    (container,) = runtime["spec"]["containers"]
    assert container["command"] == ["python", "-m", "delivery.serving.server.server"]
    given = arguments().parse_args(container["args"])
    assert (given.host, given.http_port, str(given.model_dir)) == ("0.0.0.0", 8080, "/mnt/models")
    assert container["ports"][0]["containerPort"] == container["readinessProbe"]["httpGet"]["port"] == given.http_port


def test_a_model_has_two_minutes_to_load_and_a_server_that_hangs_is_noticed_in_half_a_minute(
    runtime: dict[str, Any],
) -> None:
    (container,) = runtime["spec"]["containers"]
    seconds = {
        name: probe["periodSeconds"] * probe["failureThreshold"]
        for name, probe in container.items()
        if name.endswith("Probe")
    }
    assert seconds == {"startupProbe": 120, "readinessProbe": 15, "livenessProbe": 30}
    for name in seconds:
        assert container[name]["httpGet"]["port"] == 8080


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_probes_ask_for_paths_that_the_server_answers(
    runtime: dict[str, Any], amount_server: RunningServer, probe: str
) -> None:
    (container,) = runtime["spec"]["containers"]
    assert requests.get(amount_server.url + container[probe]["httpGet"]["path"]).status_code == 200


def test_the_container_is_not_root_can_not_write_and_is_named_by_digest(runtime: dict[str, Any]) -> None:
    (container,) = runtime["spec"]["containers"]
    context = container["securityContext"]
    assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and context["runAsUser"] > 0
    assert not context["allowPrivilegeEscalation"] and context["capabilities"] == {"drop": ["ALL"]}
    assert container["image"].startswith("ostinato@sha256:")
