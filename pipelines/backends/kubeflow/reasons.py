"""Why a run failed, and why a step does not start: what the API does not say by itself."""

from dataclasses import replace
from typing import Any

from pipelines.backends.kubeflow.api_errors import Failure
from pipelines.backends.kubeflow.connection import KubeflowConnection
from pipelines.backends.kubeflow.states import failed_pods, waiting_pod, workflow_nodes
from pipelines.backends.kubeflow.step_log import LastWords, last_words, plain
from pipelines.backends.kubeflow.step_logs import read_log, show_log
from pipelines.backends.kubeflow.waiting_pods import Pod, PodEvents
from pipelines.backends.kubeflow.workflow_nodes import WorkflowNodes
from pipelines.backends.remote import RemoteRun

ALONE = "kubeflow"
"""Namespace of an installation for a single user."""


def with_reasons(connection: KubeflowConnection, run: dict[str, Any], shown: RemoteRun) -> RemoteRun:
    """The run with what its pods' logs say of a failure, and what their pods say of a step that waits.

    What can't be had is said, and never makes it fail. run: as the API has it; shown: as we have it.
    """
    nodes = workflow_nodes(run)
    if shown.state == "failed":
        return _with_failures(connection, nodes, shown)
    steps = [
        replace(step, message=_why_it_waits(connection, nodes, step.name)) if step.waits_since else step
        for step in shown.steps
    ]
    return replace(shown, steps=tuple(steps))


def _with_failures(connection: KubeflowConnection, nodes: WorkflowNodes, shown: RemoteRun) -> RemoteRun:
    endpoint = connection.settings.endpoint
    steps = {step.name: step for step in shown.steps}
    decision, message = shown.decision, shown.message
    for pod in failed_pods(nodes, shown.steps):
        words = _last_words(connection, shown.id, pod.node)
        decision = "reject" if words.refused else decision
        log = show_log(endpoint, shown.id, pod.node)
        if pod.step:
            steps[pod.step] = replace(steps[pod.step], message=words.message, log=log)
        else:
            message = f"{words.message}; the whole log: {log}"
    return replace(shown, steps=tuple(steps.values()), decision=decision, message=message)


def _last_words(connection: KubeflowConnection, run: str, node: str) -> LastWords:
    try:
        return last_words(read_log(connection, run, node))
    except Failure as failure:
        return LastWords(
            f"failed, and its log can't be had ({failure.status}: {plain(failure.text)}): Kubeflow keeps the log of a "
            "pod that is gone only where Argo's archiveLogs is set; the step's artifact executor-logs may have it"
        )


def _why_it_waits(connection: KubeflowConnection, nodes: WorkflowNodes, step: str) -> str:
    """What Kubeflow's UI says of the pod, by its own API; else the command that shows it."""
    namespace = connection.settings.namespace or ALONE
    which = {"podname": waiting_pod(nodes, step), "podnamespace": namespace}
    try:
        pod = Pod.model_validate_json(connection.tail("/k8s/pod", **which))
        cause = pod.cause() or PodEvents.model_validate_json(connection.tail("/k8s/pod/events", **which)).cause()
    except (Failure, ValueError):
        cause = ""
    show = f"kubectl describe pods --namespace {namespace} --selector workflows.argoproj.io/workflow={nodes.workflow}"
    return plain(cause)[:400] or f"{show} shows why"
