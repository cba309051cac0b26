"""How Argo CD judges KServe's services: the real scripts in Lua 5.1, with the libraries that Argo CD gives them."""

from collections.abc import Callable
from typing import Any

import pytest
from gitops.tree import SEED, built, only

lua51 = pytest.importorskip("lupa.lua51", reason="lupa is not installed; it runs the Lua of Argo CD's health check")

KEY = "resource.customizations.health.serving.kserve.io_"
Health = Callable[[dict[str, Any]], tuple[str, str]]
UNAVAILABLE = {"reason": "MinimumReplicasUnavailable", "message": "Deployment does not have minimum availability."}


def judge_of(kind: str) -> Health:
    """What the script for a kind says of an object: status and message."""
    script = only(built(SEED / "argocd"), "ConfigMap")["data"][KEY + kind]

    def ask(service: dict[str, Any]) -> tuple[str, str]:
        lua = lua51.LuaRuntime(register_builtins=False, unpack_returned_tuples=True)
        # argo-cd, util/lua/lua.go: base, table and a small part of os, unless useOpenLibs is set.
        lua.execute('getmetatable("").__index = nil')
        lua.execute("string, math, io, os, debug, coroutine, package, require = nil")
        lua.globals().obj = lua.table_from(service, recursive=True)
        found = lua.execute(script)
        return found.status, found.message

    return ask


@pytest.fixture(scope="module")
def health() -> Health:
    return judge_of("InferenceService")


@pytest.fixture(scope="module")
def llm_health() -> Health:
    return judge_of("LLMInferenceService")


def service(transition: str = "", active: str = "", failure: dict[str, Any] | None = None, **conditions: Any) -> dict:
    """An InferenceService whose conditions have the given status, or the given fields."""
    listed = []
    for kind, given in conditions.items():
        fields = given if isinstance(given, dict) else {"status": given}
        listed.append({"type": kind, **fields})
    model: dict[str, Any] = {"transitionStatus": transition, "states": {"activeModelState": active}}
    if failure:
        model["lastFailureInfo"] = failure
    return {"metadata": {"generation": 7}, "status": {"conditions": listed, "modelStatus": model}}


def not_available(**more: Any) -> dict[str, Any]:
    return {"status": "False", **UNAVAILABLE, **more}


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"conditions": []}}])
def test_a_service_that_kserve_has_not_seen_is_progressing(health: Health, status: dict[str, Any]) -> None:
    assert health({"metadata": {}, **status}) == ("Progressing", "KServe has not looked at it yet.")


def test_a_service_that_is_ready_is_healthy_in_every_deployment_mode(health: Health) -> None:
    standard = service("UpToDate", "Loaded", IngressReady="True", PredictorReady="True", Ready="True", Stopped="False")
    knative = service("UpToDate", "Loaded", PredictorReady="True", RoutesReady="True", Ready="True")
    without_model_status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    for one in (standard, knative, without_model_status):
        assert health(one) == ("Healthy", "The model is loaded and serves.")


def test_the_generation_that_kserve_copies_from_a_deployment_says_nothing(health: Health) -> None:
    one = service("UpToDate", "Loaded", PredictorReady="True", Ready="True")
    one["status"]["observedGeneration"] = 2
    assert health(one)[0] == "Healthy"


def test_a_first_model_that_is_loading_is_progressing_though_no_pod_is_available(health: Health) -> None:
    one = service("InProgress", "Pending", PredictorReady=not_available(), IngressReady="Unknown", Ready="False")
    assert health(one) == (
        "Progressing",
        "The first model is loading. PredictorReady: Deployment does not have minimum availability.",
    )


def test_a_first_model_that_never_gets_a_pod_becomes_degraded(health: Health) -> None:
    late = not_available(reason="ProgressDeadlineExceeded", message="ReplicaSet has timed out progressing.")
    one = service("InProgress", "Pending", PredictorReady=late, Ready="False")
    assert health(one) == ("Degraded", "Nothing serves. PredictorReady: ReplicaSet has timed out progressing.")


def test_a_service_that_has_served_and_does_not_any_more_is_degraded(health: Health) -> None:
    one = service("InProgress", "Loaded", PredictorReady=not_available(), Ready="False")
    status, message = health(one)
    assert status == "Degraded" and message.startswith("Nothing serves. PredictorReady: Deployment does not have")


def test_a_new_version_that_is_rolling_out_is_progressing(health: Health) -> None:
    rolling = {"status": "Unknown", "reason": "ReplicaSetUpdated"}
    one = service("InProgress", "Loaded", PredictorReady=rolling, Ready={"status": "Unknown", "message": "Updating."})
    assert health(one) == ("Progressing", "A change is rolling out. Updating.")
    one = service("InProgress", "Loaded", PredictorReady="True", Ready="True")
    assert health(one) == ("Progressing", "The new version is loading, the one before serves.")


def test_a_model_that_does_not_load_is_degraded_with_the_reason_even_while_the_one_before_serves(
    health: Health,
) -> None:
    failure = {"reason": "ModelLoadFailed", "message": "no such object: models/m-1", "exitCode": 1}
    one = service("BlockedByFailedLoad", "", failure, PredictorReady=not_available(), Ready="False")
    assert health(one) == ("Degraded", "The model does not load. ModelLoadFailed: no such object: models/m-1")
    one = service("BlockedByFailedLoad", "Loaded", failure, PredictorReady="True", Ready="True")
    status, message = health(one)
    assert status == "Degraded"
    assert message == (
        "The model does not load. The version before still serves. ModelLoadFailed: no such object: models/m-1"
    )
    one = service("BlockedByFailedLoad", "Loaded", PredictorReady="Unknown", Ready="Unknown")
    assert health(one) == ("Degraded", "The model does not load. see the log of the predictor's pod")


def test_a_specification_that_kserve_refuses_is_degraded_with_the_reason(health: Health) -> None:
    failure = {"reason": "RuntimeNotRecognized", "message": "Waiting for runtime to become available"}
    one = service("InvalidSpec", "", failure, Ready="Unknown")
    assert health(one) == (
        "Degraded",
        "KServe refuses the specification. RuntimeNotRecognized: Waiting for runtime to become available",
    )


def test_a_missing_route_is_named(health: Health) -> None:
    route = {"status": "False", "reason": "NotReconciled", "message": "no gateway"}
    one = service("UpToDate", "Loaded", PredictorReady="True", IngressReady=route, Ready="False")
    assert health(one) == ("Degraded", "Nothing serves. IngressReady: no gateway")


def test_an_old_failure_is_no_reason_for_a_new_one(health: Health) -> None:
    old = {"reason": "ModelLoadFailed", "message": "of last week"}
    one = service("UpToDate", "Loaded", old, PredictorReady=not_available(), Ready="False")
    assert "of last week" not in health(one)[1]


def test_a_stopped_service_is_suspended(health: Health) -> None:
    one = service("", "", Stopped="True", PredictorReady="False", Ready="False")
    assert health(one)[0] == "Suspended"


def llm_service(ready: str = "", **conditions: str | tuple[str, str, str]) -> dict[str, Any]:
    """An LLMInferenceService whose conditions have a status, or status, reason and message."""
    listed = [{"type": "Ready", "status": ready}] if ready else []
    for kind, given in conditions.items():
        fields = ("status", "reason", "message")
        listed.append({"type": kind, **dict(zip(fields, (given,) if isinstance(given, str) else given, strict=False))})
    return {"metadata": {"generation": 2}, "status": {"conditions": listed}}


NO_POD = ("False", *UNAVAILABLE.values())


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"conditions": []}}])
def test_a_language_model_that_kserve_has_not_seen_is_progressing(llm_health: Health, status: dict[str, Any]) -> None:
    assert llm_health(status) == ("Progressing", "KServe has not looked at it yet.")


def test_a_language_model_that_is_ready_is_healthy(llm_health: Health) -> None:
    one = llm_service("True", PresetsCombined="True", WorkloadsReady="True", RouterReady="True")
    assert llm_health(one) == ("Healthy", "The model is loaded and serves.")


def test_a_language_model_that_loads_for_minutes_is_progressing_and_not_broken(llm_health: Health) -> None:
    one = llm_service("False", MainWorkloadReady=NO_POD, WorkloadsReady=NO_POD, RouterReady="Unknown")
    status, message = llm_health(one)
    assert status == "Progressing"
    assert "MainWorkloadReady: Deployment does not have minimum availability." in message
    assert llm_health(llm_service("Unknown", WorkloadsReady=("Unknown", "WorkloadNotReady", "Rolling.")))[0] == status


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        ("RouterReady", ("False", "HTTPRoutesNotReady", "no gateway")),
        ("PresetsCombined", ("False", "CombineBaseError", "no preset")),
        ("MainWorkloadReady", ("False", "ReconcileError", "unsupported schema in model URI")),
    ],
)
def test_a_language_model_that_time_does_not_mend_is_degraded_with_the_reason(
    llm_health: Health, kind: str, condition: tuple[str, str, str]
) -> None:
    one = llm_service("False", WorkloadsReady=NO_POD, **{kind: condition})
    assert llm_health(one) == ("Degraded", f"Nothing serves. {kind}: {condition[2]}")


def test_a_language_model_that_is_not_ready_for_no_reason_is_degraded(llm_health: Health) -> None:
    assert llm_health(llm_service("False")) == ("Degraded", "Nothing serves. no reason is given")


def test_a_stopped_language_model_is_suspended(llm_health: Health) -> None:
    assert llm_health(llm_service("False", MainWorkloadReady=("False", "Stopped", "")))[0] == "Suspended"
