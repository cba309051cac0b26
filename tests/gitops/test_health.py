"""How Argo CD judges KServe's services: the real script in Lua 5.1, over what a real KServe answered."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.manifest_tree import SEED, built, only

from delivery.kserve.health import health_of

RECORDED = Path(__file__).parents[1] / "recorded" / "kubernetes"
HEALTHY = "The model is loaded and serves."
ROLLING_OUT = "The new version is rolling out, the one before serves."
NO_MINIMUM = "PredictorReady: Deployment does not have minimum availability."
NO_ROUTE = "IngressReady: Predictor HTTPRoute not created"
FIRST = f"The first model is loading. {NO_ROUTE}; {NO_MINIMUM}"
NEVER = f"Nothing serves. No pod became ready for 10 minutes. {NO_ROUTE}; {NO_MINIMUM}"
LOG = "ModelLoadFailed: see the log of the predictor's pod"
NOT_FOUND = (
    "storage initializer args: s3://models/1/models/m-missing/artifacts /mnt/models\n"
    "RuntimeError: Failed to fetch model. No model found in s3://models/1/models/m-missing/artifacts.\n"
)
TIMED_OUT = 'ReplicaSet "demand-forecaster-predictor-{}" has timed out progressing.'
NO_ACCOUNT = (
    'PredictorReady: pods "demand-forecaster-predictor-77c8d9db79-" is forbidden: error looking up service account '
    't5/demand-forecaster: serviceaccount "demand-forecaster" not found'
)
NO_SECRET = (
    'PredictorReady: admission webhook "inferenceservice.kserve-webhook-server.pod-mutator" denied the request: '
    'secrets "artifact-store" not found'
)
NO_ROUTE_YET = (
    "The following HTTPRoutes are not ready: "
    "[l9/llm-qa-kserve-route: v1.HTTPRouteStatus{RouteStatus:v1.RouteStatus{Parents:[]v1.RouteParentStatus(nil)}}]"
)
NO_POD = "No pod is ready yet; its log says whether the model loads."

SECOND, MINUTES = 1, 11 * 60
"""Seconds after the last change of the object."""

TABLE: dict[tuple[str, int], tuple[str, str]] = {
    ("healthy", SECOND): ("Healthy", HEALTHY),
    ("healthy", MINUTES): ("Healthy", HEALTHY),
    ("healthy-first-version", SECOND): ("Healthy", HEALTHY),
    ("language-model-healthy", SECOND): ("Healthy", HEALTHY),
    ("modelcar-healthy", SECOND): ("Healthy", HEALTHY),
    ("scaling-up-after", SECOND): ("Healthy", HEALTHY),
    ("canary-healthy", SECOND): ("Healthy", HEALTHY),
    # KServe knows no port that its probe does not ask; `ostinato verify` does.
    ("vllm-ready-on-the-wrong-port", SECOND): ("Healthy", HEALTHY),
    ("stopped", SECOND): ("Suspended", "Stopped by its annotation serving.kserve.io/stop."),
    ("llm-stopped", SECOND): ("Suspended", "Stopped by its annotation serving.kserve.io/stop."),
    ("just-created", SECOND): ("Progressing", FIRST),
    ("first-model-loading", SECOND): ("Progressing", FIRST),
    ("first-model-loading", MINUTES): ("Degraded", NEVER),
    ("pod-pending", SECOND): ("Progressing", FIRST),
    ("pod-pending-after-the-deadline", MINUTES): ("Degraded", NEVER),
    ("container-config-error-first-model", SECOND): ("Progressing", FIRST),
    ("container-config-error-first-model", MINUTES): ("Degraded", NEVER),
    ("image-pull-failing-first-model", SECOND): ("Progressing", FIRST),
    ("image-pull-failing-first-model", MINUTES): ("Degraded", NEVER),
    ("modelcar-refused-root-image", SECOND): ("Progressing", FIRST),
    ("modelcar-refused-root-image", MINUTES): ("Degraded", NEVER),
    ("crash-loop-first-model", SECOND): ("Degraded", f"The model does not load. {LOG}"),
    ("real-server-refuses-the-folder", SECOND): ("Degraded", f"The model does not load. {LOG}"),
    ("real-server-refuses-the-folder-with-the-log", SECOND): ("Degraded", f"The model does not load. {LOG}"),
    ("load-failed-first-model", SECOND): ("Degraded", f"The model does not load. ModelLoadFailed: {NOT_FOUND}"),
    ("load-failed-behind-a-serving-pod", SECOND): (
        "Degraded",
        f"The model does not load. 1 pod serves. ModelLoadFailed: {NOT_FOUND}",
    ),
    ("crash-loop-behind-a-serving-pod", SECOND): ("Progressing", ROLLING_OUT),
    ("crash-loop-behind-a-serving-pod-after-the-deadline", SECOND): (
        "Degraded",
        f"The model does not load. 1 pod serves. {LOG}",
    ),
    ("image-pull-failing-behind-a-serving-pod", SECOND): ("Progressing", ROLLING_OUT),
    ("image-pull-failing-behind-a-serving-pod-after-the-deadline", SECOND): (
        "Degraded",
        "The new version does not become ready. The one before serves. "
        f"PredictorReady: {TIMED_OUT.format('697c89d96b')}",
    ),
    ("new-version-loading-behind-a-serving-pod", SECOND): ("Progressing", ROLLING_OUT),
    ("new-version-not-ready-behind-a-serving-pod", SECOND): ("Progressing", ROLLING_OUT),
    ("recreate-new-version-loading", SECOND): (
        "Progressing",
        "The new version is loading; nothing serves until then, as strategy Recreate says.",
    ),
    ("recreate-new-version-loading", MINUTES): (
        "Degraded",
        f"Nothing serves. No pod became ready for 10 minutes. {NO_MINIMUM}",
    ),
    ("scaling-up-one-pod-serves", SECOND): ("Progressing", "1 pod serves. More are starting."),
    ("scaling-up-one-pod-serves", MINUTES): (
        "Degraded",
        f"1 pod serves. The others do not become ready. No pod became ready for 10 minutes. {NO_MINIMUM}",
    ),
    ("service-account-missing", SECOND): ("Degraded", f"Its pods can't be created. {NO_ROUTE}; {NO_ACCOUNT}"),
    ("storage-secret-missing", SECOND): ("Degraded", f"Its pods can't be created. {NO_ROUTE}; {NO_SECRET}"),
    ("storage-secret-missing-after-the-deadline", MINUTES): (
        "Degraded",
        f"Its pods can't be created. {NO_ROUTE}; {NO_SECRET}",
    ),
    ("keda-missing", SECOND): (
        "Degraded",
        "KServe can't set it up. PredictorReady: fails to reconcile predictor: failed to get existing KEDA autoscaler: "
        'no matches for kind "ScaledObject" in version "keda.sh/v1alpha1"',
    ),
    ("knative-refused", SECOND): ("Progressing", "A change is rolling out."),
    ("knative-refused", MINUTES): (
        "Degraded",
        "KServe has done nothing with it. Is Knative installed in this cluster?",
    ),
    ("modelmesh-without-modelmesh", MINUTES): (
        "Degraded",
        "KServe has done nothing with it. Is ModelMesh installed in this cluster?",
    ),
    ("vllm-format-refused", SECOND): (
        "Degraded",
        "KServe refuses the specification. NoSupportingRuntime: "
        "Specified runtime does not support specified framework/version",
    ),
    ("canary-crash-loop", SECOND): ("Progressing", "The canary is starting, the live version serves."),
    ("canary-crash-loop", MINUTES): (
        "Degraded",
        "The canary does not become ready; its pod's log says why. The live version serves.",
    ),
    ("llm-healthy", SECOND): ("Healthy", HEALTHY),
    ("llm-just-created", SECOND): (
        "Progressing",
        f"{NO_POD} HTTPRoutesReady: {NO_ROUTE_YET}; MainWorkloadReady: Progressing",
    ),
    ("llm-just-created", MINUTES): ("Degraded", f"HTTPRoutesReady: {NO_ROUTE_YET}"),
    ("llm-ready-without-a-pod", SECOND): ("Progressing", NO_POD),
    ("llm-ready-without-a-pod", 1860): (
        "Degraded",
        "0 of 1 pods are ready after half an hour; the pod's log says why.",
    ),
    ("llm-crash-loop-first-model", SECOND): (
        "Progressing",
        f"{NO_POD} MainWorkloadReady: Deployment does not have minimum availability.",
    ),
    ("llm-crash-loop-first-model", 1860): (
        "Degraded",
        "0 of 1 pods are ready after half an hour; the pod's log says why. "
        "MainWorkloadReady: Deployment does not have minimum availability.",
    ),
    # Nothing in its status differs from a healthy one: one of one pods is ready, and that is the one before.
    ("llm-crash-loop-behind-a-serving-pod", SECOND): ("Healthy", HEALTHY),
    ("llm-gateway-missing", SECOND): ("Degraded", "GatewaysReady: Gateway gateways/nogateway does not exist"),
}
"""State of the real object, seconds after its last change, health and sentence: decided by hand."""


def recorded(state: str) -> dict[str, Any]:
    return yaml.safe_load((RECORDED / f"kserve-{state}.yaml").read_text())


def last_change(service: dict[str, Any]) -> datetime:
    conditions = service["status"]["conditions"]
    return max(datetime.fromisoformat(condition["lastTransitionTime"]) for condition in conditions)


@pytest.mark.parametrize(("state", "after"), TABLE)
def test_the_table_over_what_a_real_kserve_answered(state: str, after: int) -> None:
    service = recorded(state)
    health = health_of(service, last_change(service) + timedelta(seconds=after))
    assert (health.status, health.message) == TABLE[state, after]


def test_every_recorded_service_is_in_the_table() -> None:
    with_long_texts = {"name-too-long", "real-server-refuses-the-digest-with-the-log"}
    states = {path.stem.removeprefix("kserve-") for path in RECORDED.glob("kserve-*.yaml")}
    assert {state for state, _ in TABLE} | with_long_texts == states


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            "name-too-long",
            "KServe can't set it up. PredictorReady: fails to create NewRawKubeReconciler for predictor: ",
        ),
        (
            "real-server-refuses-the-digest-with-the-log",
            "The model does not load. ModelLoadFailed: error: /mnt/models ",
        ),
    ],
)
def test_the_words_of_the_controller_and_of_the_pod_are_shown(state: str, words: str) -> None:
    health = health_of(recorded(state), last_change(recorded(state)))
    assert health.status == "Degraded" and health.message.startswith(words)


@pytest.mark.parametrize("kind", ["InferenceService", "LLMInferenceService"])
@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": {"conditions": []}}])
def test_a_service_that_kserve_has_not_seen_is_progressing(kind: str, status: dict[str, Any]) -> None:
    health = health_of({"kind": kind, "metadata": {}, **status}, datetime(2026, 12, 1))
    assert (health.status, health.message) == ("Progressing", "KServe has not looked at it yet.")


def changed(state: str, change: Callable[[dict[str, Any]], None]) -> tuple[str, str]:
    """Health of a recorded service after a change of its status, in the second after its last change."""
    service = recorded(state)
    change(service["status"])
    health = health_of(service, last_change(service) + timedelta(seconds=SECOND))
    return health.status, health.message


def test_a_service_that_served_and_lost_its_pods_is_degraded() -> None:
    def lose(status: dict[str, Any]) -> None:
        status["modelStatus"]["copies"].pop("totalCopies")

    assert changed("scaling-up-one-pod-serves", lose) == ("Degraded", f"Nothing serves. {NO_MINIMUM}")


def test_an_old_failure_is_no_reason_for_a_new_one() -> None:
    def remember(status: dict[str, Any]) -> None:
        status["modelStatus"]["lastFailureInfo"] = {"reason": "ModelLoadFailed", "message": "of last week"}

    assert "last week" not in changed("first-model-loading", remember)[1]


def knative(
    percent: int | None, ready: str, revisions: tuple[str, str], transition: str = "UpToDate", why: str = ""
) -> dict[str, Any]:
    """A service in Knative mode. No Knative was there to be recorded: the status is what two sources write.

    https://github.com/knative/serving/tree/98e5ef90aa70: configuration_lifecycle.go (SetLatestCreatedRevisionName,
    MarkLatestCreatedFailed), service_lifecycle.go (PropagateConfigurationStatus). PropagateStatus and
    PropagateModelStatus in https://github.com/kserve/kserve/blob/aaac4e29/pkg/apis/serving/v1beta1/inference_service_status.go.
    revisions: the newest, and the last that became ready.
    """
    failure = {"reason": "RevisionFailed", "message": why} if why else {}
    changed_at = "2026-12-01T09:00:00Z"
    sums = ("PredictorConfigurationReady", "LatestDeploymentReady", "PredictorReady", "Ready")
    conditions = [{"type": kind, "status": ready, "lastTransitionTime": changed_at, **failure} for kind in sums]
    for kind in ("IngressReady", "PredictorRouteReady", "RoutesReady"):
        conditions.append({"type": kind, "status": "True", "lastTransitionTime": changed_at})
    newest, last = revisions
    predictor = {"latestCreatedRevision": newest} | ({"latestReadyRevision": last} if last else {})
    return {
        "kind": "InferenceService",
        "metadata": {"annotations": {"serving.kserve.io/deploymentMode": "Knative"}},
        "spec": {"predictor": {} if percent is None else {"canaryTrafficPercent": percent}},
        "status": {
            "components": {"predictor": predictor},
            "conditions": conditions,
            "modelStatus": {"transitionStatus": transition, "copies": {"totalCopies": 1}},
        },
    }


ONE, TWO = ("p-1", "p-1"), ("p-2", "p-1")
CRASH = 'Revision "p-2" failed with message: Container failed with: error: /mnt/models.'
CANARY_STARTS = ("Progressing", "The canary is starting, the live version serves.")
KNATIVE = {
    "canary serves": (knative(10, "True", ("p-2", "p-2")), ("Healthy", HEALTHY)),
    "canary loads": (knative(10, "Unknown", TWO, "InProgress"), CANARY_STARTS),
    "canary crashes": (
        knative(10, "False", TWO, "BlockedByFailedLoad", CRASH),
        ("Degraded", f"The canary does not become ready. The live version serves. {CRASH}"),
    ),
    "new version loads": (knative(None, "Unknown", TWO, "InProgress"), ("Progressing", ROLLING_OUT)),
    "canary was ended": (knative(0, "Unknown", TWO, "InProgress"), ("Progressing", ROLLING_OUT)),
    "new version crashes": (
        knative(None, "False", TWO, "BlockedByFailedLoad", CRASH),
        ("Degraded", f"The new version does not become ready. The one before serves. {CRASH}"),
    ),
    "first model loads": (
        knative(None, "Unknown", ("p-1", ""), "InProgress"),
        ("Progressing", "A change is rolling out."),
    ),
    "no pod, as nobody asks": (knative(None, "True", ONE, "InProgress"), ("Healthy", HEALTHY)),
}


@pytest.mark.parametrize("after", [SECOND, MINUTES])
@pytest.mark.parametrize("state", KNATIVE)
def test_knative_as_its_source_has_it(state: str, after: int) -> None:
    """Knative itself says when a revision took too long, so time alone changes nothing."""
    service, decided = KNATIVE[state]
    health = health_of(service, last_change(service) + timedelta(seconds=after))
    assert (health.status, health.message) == decided


def with_condition(state: str, kind: str, reason: str, message: str) -> dict[str, Any]:
    """A recorded service that one more condition, and so the sum, says is not ready."""
    service = recorded(state)
    for condition in service["status"]["conditions"]:
        if condition["type"] in (kind, "Ready"):
            condition |= {"status": "False", "reason": reason, "message": message}
    return service


def test_a_route_that_is_missing_is_waited_for_a_minute_and_then_named() -> None:
    service = with_condition("healthy", "IngressReady", "NotReconciled", "no gateway")
    changed_at = last_change(service)
    assert health_of(service, changed_at + timedelta(seconds=59)).status == "Progressing"
    late = health_of(service, changed_at + timedelta(seconds=60))
    assert (late.status, late.message) == ("Degraded", "Nothing serves. IngressReady: no gateway")


@pytest.mark.parametrize(
    ("kind", "reason", "message"),
    [
        ("PresetsCombined", "CombineBaseError", "no preset"),
        ("MainWorkloadReady", "ReconcileError", "unsupported schema in model URI"),
    ],
)
def test_a_language_model_that_time_does_not_mend_is_degraded(kind: str, reason: str, message: str) -> None:
    service = with_condition("llm-crash-loop-first-model", kind, reason, message)
    health = health_of(service, last_change(service) + timedelta(seconds=SECOND))
    assert health.status == "Degraded" and f"{kind}: {message}" in health.message


def test_a_language_model_that_is_not_ready_without_a_reason_is_no_healthy_one() -> None:
    service = with_condition("llm-healthy", "Ready", "", "")
    assert health_of(service, last_change(service) + timedelta(seconds=SECOND)).status == "Progressing"


def test_a_language_model_of_two_replicas_is_healthy_with_two_pods() -> None:
    service = recorded("llm-healthy")
    service["spec"]["replicas"] = 2
    now = last_change(service) + timedelta(seconds=SECOND)
    assert health_of(service, now).message == "1 pod serves."
    service["status"]["workloads"]["primary"]["readyReplicas"] = 2
    assert health_of(service, now).status == "Healthy"


@pytest.mark.parametrize(
    "moment",
    [
        "2026-12-01T00:05:00+00:00",
        "2028-02-29T23:59:59+00:00",
        "2028-03-01T00:09:59+00:00",
        "2100-01-01T00:00:00+00:00",
    ],
)
def test_ten_minutes_are_counted_over_midnight_leap_days_and_years(moment: str) -> None:
    service = recorded("first-model-loading")
    for condition in service["status"]["conditions"]:
        condition["lastTransitionTime"] = datetime.fromisoformat(moment).strftime("%Y-%m-%dT%H:%M:%SZ")
    before, after = (datetime.fromisoformat(moment) + timedelta(seconds=seconds) for seconds in (599, 600))
    assert health_of(service, before).status == "Progressing"
    assert health_of(service, after).status == "Degraded"


def test_argo_cd_runs_the_script_that_status_runs() -> None:
    data = only(built(SEED / "argocd"), "ConfigMap")["data"]
    script = Path("delivery/kserve/health.lua")
    for kind in ("InferenceService", "LLMInferenceService"):
        text = data[f"resource.customizations.health.serving.kserve.io_{kind}"]
        assert text == (Path(__file__).parents[2] / script).read_text(), f"copy {script} to manifests/argocd/health.lua"
