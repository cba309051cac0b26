"""The command that says what a release would meet."""

from typing import Annotated

import typer

from pipelines.commands.base import app, open_workspace, print_result
from pipelines.commands.options import AnyModel, AsJson
from training.errors import GateRefused, InputError
from training.folder import model_names, model_spec


@app.command(epilog="Examples: ostinato doctor --cluster; ostinato doctor demand-forecaster --cluster --json")
def doctor(
    model: AnyModel = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Look at the cluster of the kubeconfig: kind, minikube, k3d or any other.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What a release would meet: KServe, gateway, Argo CD, namespaces, runtimes, secrets, quotas. Nothing is changed.

    Exit code 3 if something is missing.
    """
    from delivery.kserve.api_server import ApiServer
    from delivery.releases.cluster_check import check_cluster
    from pipelines.wording_cluster import render_findings

    if not cluster:
        raise InputError("say where to look: --cluster; the workspace itself is looked at by: ostinato validate")
    workspace = open_workspace()
    names = [model] if model else model_names(workspace.root)
    specs = [model_spec(workspace.root, name) for name in names]
    findings = check_cluster(workspace.connect().manifests_remote, ApiServer(), specs)
    print_result(findings, as_json, render_findings)
    missing = [finding.subject for finding in findings if finding.state == "missing"]
    if missing:
        raise GateRefused(f"a release would not come through; missing or wrong: {', '.join(missing)}")
