"""`ostinato submit --wait` where Kubeflow wants a token, with a package that asks for nodes and secrets."""

import json
from pathlib import Path

from harness.command_line import Finished, run_ostinato
from harness.kubeflow.server import TOKEN, KfpServer

MODEL = "demand-forecaster"
DONE = {name: "SUCCEEDED" for name in ("preflight", "preprocess", "train", "champion", "evaluate")}


def ostinato(workspace: Path, server: KfpServer, *arguments: str) -> Finished:
    return run_ostinato(
        workspace,
        *arguments,
        OSTINATO_IMAGE="registry.example.org/ostinato@sha256:" + "1" * 64,
        OSTINATO_TRACKING_URI="https://mlflow.example.org",
        OSTINATO_MANIFESTS_REMOTE="https://git.example.org/fleet/manifests.git",
        OSTINATO_KUBEFLOW__ENDPOINT=server.url,
        OSTINATO_KUBEFLOW__AUTH="token",
        OSTINATO_KUBEFLOW__NODE_SELECTOR='{"pool": "steps"}',
        OSTINATO_KUBEFLOW__SECRETS='{"OSTINATO_FORGE_TOKEN": "forge/token"}',
        OSTINATO_KUBEFLOW_TOKEN=TOKEN,
    )


def test_a_run_is_followed_to_its_end_and_found_again_by_its_key(workspace: Path) -> None:
    with KfpServer(token=TOKEN) as server:
        server.state.pace = [
            ({"preprocess": "CACHED", "train": "RUNNING"}, "RUNNING", ""),
            ({**DONE, "register": "SUCCEEDED", "deploy": "SUCCEEDED"}, "SUCCEEDED", ""),
        ]
        command = ("submit", MODEL, "--backend", "kubeflow", "--key", "commit-1", "--wait", "--poll", "0.01")
        done = ostinato(workspace, server, *command)
        assert done.code == 0, done.err
        assert "preprocess cached" in done.err and "train running" in done.err and "deploy succeeded" in done.err
        assert "the decision is pass" in done.out
        again = ostinato(workspace, server, *command)
        assert again.code == 0 and again.out.startswith("found ")
        assert len(server.state.runs) == 1
        (package,) = server.state.packages.values()
        assert "platforms:" in package and "pool: steps" in package
        assert TOKEN not in json.dumps(server.requests)
