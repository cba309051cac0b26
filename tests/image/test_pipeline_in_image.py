"""The pipeline in containers of the image: kfp.local's DockerRunner against podman."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command_line import Finished, environment
from harness.kfp_local import without_resource_name
from harness.servers import GitServer, git_server, running_mlflow

from delivery.git.repository import ensure_local_repository

__all__ = ["git_server"]

MODEL = "demand-forecaster"
# Files are left by the image's user, and deleted by the one who runs the tests.
RUN = """
import json, os, sys
from kfp import components, local
os.umask(0)
# As many threads as the tests' own processes have: the order of sums, and so the last bit, depends on it.
runner = local.DockerRunner(network_mode="host", environment={"OMP_NUM_THREADS": "1"})
local.init(runner, pipeline_root=sys.argv[2], raise_on_error=True)
components.load_component_from_file(sys.argv[1])(**json.loads(sys.argv[3]))
"""
Run = Callable[..., Finished]


def only(root: Path, pattern: str, log: str) -> Path:
    found = list(root.glob(pattern))
    assert len(found) == 1, f"{pattern}: {found}\n{log}"
    return found[0]


@pytest.mark.slow
def test_the_package_runs_in_containers_of_the_image_to_the_same_estimator_and_goes_live(
    image: str, docker_host: str, workspace: Path, ostinato: Run, git_server: GitServer, tmp_path: Path
) -> None:
    spec = workspace / "training" / "demand_forecaster" / "spec.yaml"
    spec.write_text(spec.read_text().replace("max_p99_ms: 1000", "max_p99_ms: 5000"))
    ostinato("compile", MODEL, "--set", f"image={image}", "-o", "package.yaml", expect=0)
    without_resource_name(workspace / "package.yaml")
    repository = ensure_local_repository(git_server.root / "manifests.git", workspace / "manifests")
    remote = git_server.url_of(repository)
    root = tmp_path / "kfp"
    root.mkdir()
    root.chmod(0o777)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)

    # Containers may not write to the server's folders, so it hands out artifacts itself; deploy looks that they are
    # where a pod would fetch them, so that is in the one folder that containers see.
    store = root / "store"
    store.mkdir()
    with running_mlflow(store, "--serve-artifacts", "--artifacts-destination", store.as_uri()) as tracking_uri:
        places = {
            "OSTINATO_TRACKING_URI": tracking_uri,
            "OSTINATO_MANIFESTS_REMOTE": remote,
            "OSTINATO_ARTIFACTS_DESTINATION": store.as_uri(),
        }
        arguments = {
            "as_of": "2011-12-01",
            **{name.removeprefix("OSTINATO_").lower(): value for name, value in places.items()},
        }
        command = [sys.executable, "-c", RUN, "package.yaml", str(root), json.dumps(arguments)]
        env = environment(workspace, DOCKER_HOST=docker_host)
        done = subprocess.run(command, cwd=workspace, env=env, capture_output=True, text=True, timeout=600)
        log = done.stdout[-3000:] + done.stderr[-3000:]
        status = json.loads(ostinato("status", MODEL, "--json", expect=0, **places).out)[0]

    # The runner reports a container that failed as a success, so only what the steps left behind counts.
    verdict = only(root, "*/evaluate/verdict", log)
    found = json.loads(verdict.read_text())
    assert found["decision"] == "pass", log
    deployed = only(root, "*/deploy/executor_output.json", log)
    commit = json.loads(deployed.read_text())["parameterValues"]["commit"]
    assert (status["live"], status["champion"], status["commit"]) == ("1", "1", commit), log
    assert all(path.stat().st_uid == 10001 for path in root.glob("*/train/candidate/*"))

    # The laptop trains the same estimator, byte for byte.
    ostinato("run", MODEL, "--until", "train", "--param", "as_of=2011-12-01", expect=0)
    (theirs,) = root.glob("*/train/candidate/model.skops")
    (ours,) = workspace.glob(".ostinato/runs/*/train/attempt-*/candidate/model.skops")
    assert theirs.read_bytes() == ours.read_bytes()
