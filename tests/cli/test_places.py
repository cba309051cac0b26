"""The same package elsewhere: under kfp.local, and against a real MLflow server and a real git server."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.command_line import Finished, environment
from harness.kfp_local import without_resource_name
from harness.servers import GitServer, git_server, mlflow_server

from delivery.git.repository import ensure_local_repository

__all__ = ["git_server", "mlflow_server"]

MODEL = "demand-forecaster"
EARLY = ("--param", "as_of=2011-12-01")
Run = Callable[..., Finished]

KFP_LOCAL = """
import json, sys
from pathlib import Path
from kfp import components, local
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[2], raise_on_error=True)
components.load_component_from_file(sys.argv[1])(**json.loads(sys.argv[3]))
"""


def loosen(workspace: Path) -> None:
    path = workspace / "training" / "demand_forecaster" / "spec.yaml"
    path.write_text(path.read_text().replace("max_p99_ms: 1000", "max_p99_ms: 5000"))


def comparable(folder: Path) -> dict[str, Any]:
    """A verdict without what a clock measured."""
    verdict = json.loads(folder.read_text())
    verdict["checks"] = [check for check in verdict["checks"] if check["kind"] not in ("latency", "cold_start")]
    verdict["served"] |= {"cold_start_s": 0, "latency": []}
    return verdict


def test_kfp_local_runs_the_same_package_to_the_same_candidate_verdict_and_version(
    workspace: Path, ostinato: Run
) -> None:
    loosen(workspace)
    ours = json.loads(ostinato("run", MODEL, *EARLY, "--json", expect=0).out)
    arguments = json.loads((Path(ours["folder"]) / "run.json").read_text())["arguments"]
    ostinato("compile", MODEL, "-o", "package.yaml", expect=0)
    without_resource_name(workspace / "package.yaml")
    # Elsewhere nothing is registered yet; here the second run must find what the first one made.
    command = [sys.executable, "-c", KFP_LOCAL, "package.yaml", "kfp", json.dumps(arguments)]
    done = subprocess.run(command, cwd=workspace, env=environment(workspace), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    (theirs,) = workspace.glob("kfp/*/evaluate/verdict")
    assert comparable(theirs) == comparable(Path(ours["folder"]) / "verdict.json")
    (model,) = workspace.glob("kfp/*/train/candidate/model.skops")
    (own,) = (Path(ours["folder"]) / "train").glob("attempt-*/candidate/model.skops")
    assert model.read_bytes() == own.read_bytes()
    status = json.loads(ostinato("status", MODEL, "--json", expect=0).out)[0]
    assert (status["live"], status["champion"], status["commit"]) == ("1", "1", ours["commit"])


def test_a_registry_and_a_repository_behind_http_get_one_version_and_one_commit(
    workspace: Path, ostinato: Run, mlflow_server: str, git_server: GitServer
) -> None:
    loosen(workspace)
    repository = ensure_local_repository(git_server.root / "manifests.git", workspace / "manifests")
    places = {"OSTINATO_TRACKING_URI": mlflow_server, "OSTINATO_MANIFESTS_REMOTE": git_server.url_of(repository)}
    first = json.loads(ostinato("run", MODEL, *EARLY, "--json", expect=0, **places).out)
    again = json.loads(ostinato("run", MODEL, *EARLY, "--json", expect=0, **places).out)
    assert (first["version"], first["commit"]) == (again["version"], again["commit"])
    status = json.loads(ostinato("status", MODEL, "--json", expect=0, **places).out)[0]
    assert status["agree"] and status["live"] == status["champion"] == first["version"]
    assert not (workspace / ".ostinato" / "mlflow.db").exists()
    assert not (workspace / ".ostinato" / "manifests.git").exists()
