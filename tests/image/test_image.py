"""An image as it was built: what is in it, and what is not."""

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from image.conftest import Podman
from image.dockerfile import ROOT, locked

RUNTIME = ROOT / "manifests" / "runtimes" / "ostinato-mlflow.yaml"
SECRETS = re.compile(
    r"(^|/)(pip\.conf|uv\.toml|\.netrc|\.pypirc|\.git-credentials|\.env|id_(rsa|ed25519|ecdsa)|credentials\.json)$"
)
INSTALLED = (
    "import importlib.metadata as m; print(*sorted({d.name + ' ' + d.version for d in m.distributions()}), sep=chr(10))"
)


def inspected(image: str) -> dict[str, Any]:
    done = subprocess.run(["podman", "image", "inspect", image], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[0]


def test_it_runs_as_nobody_in_particular_who_can_change_neither_code_nor_libraries(podman: Podman) -> None:
    assert podman("id", "-u").strip() == "10001"
    assert podman("find", "/workspace", "/opt/ostinato", "-writable", "!", "-type", "l").strip() == ""


def test_it_says_of_which_commit_it_is_and_starts_nothing_by_itself(image: str) -> None:
    facts = inspected(image)
    config, labels = facts["Config"], facts["Labels"]
    commit = labels["org.opencontainers.image.revision"]
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    assert f"OSTINATO_CODE_VERSION={commit}" in config["Env"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"])
    assert config["User"] == "10001:10001" and config["WorkingDir"] == "/workspace"
    assert not config.get("Entrypoint") and not config.get("Healthcheck") and not facts.get("HealthCheck")


def test_the_command_line_works_in_it_on_a_read_only_root_for_any_user(podman: Podman) -> None:
    locked_down = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--user=4711")
    assert "demand-forecaster" in podman("ostinato", "validate", "demand-forecaster", options=locked_down)


def test_the_server_that_the_serving_runtime_starts_is_in_it(podman: Podman) -> None:
    (container,) = yaml.safe_load(RUNTIME.read_text(encoding="utf-8"))["spec"]["containers"]
    shown = podman(*container["command"], "--help", options=("--read-only", "--tmpfs=/tmp"))
    assert all(argument.split("=")[0] in shown for argument in container["args"])


def test_deploy_finds_git_and_ssh_and_ssh_knows_its_user(podman: Podman) -> None:
    assert "git version" in podman("git", "--version")
    shown = podman("sh", "-c", "ssh -o ConnectTimeout=1 host.invalid true || true")
    assert "Could not resolve hostname" in shown


def test_what_is_installed_is_what_the_lock_names_and_nothing_else(podman: Podman) -> None:
    lock = locked(ROOT / "requirements-image.lock")
    installed = dict(line.split() for line in podman("python", "-c", INSTALLED).splitlines())
    installed = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in installed.items()}
    if "torch" in installed:
        lock |= locked(ROOT / "requirements-cuda.lock") | locked(ROOT / "requirements-llm.lock")
    assert set(installed) <= set(lock)
    assert {name: version for name, version in installed.items() if version not in lock[name]} == {}
    assert {"kfp", "mlflow", "evidently", "kserve", "gcsfs", "s3fs"} <= set(installed)


def test_no_module_is_compiled_again_when_a_container_starts(podman: Podman) -> None:
    shown = podman("python", "-v", "-c", "import mlflow, pipelines.cli")
    assert re.search(r"pyc matches /workspace/pipelines/cli\.py", shown)
    # A module from its source is shown without quotes, one from bytecode with them.
    compiled = re.findall(r"^# code object from ([^'\s]\S*)", shown, re.MULTILINE)
    assert [path for path in compiled if path.startswith(("/workspace", "/opt"))] == []


def test_no_layer_holds_a_secret_or_how_packages_were_fetched(image: str, tmp_path: Path) -> None:
    saved = tmp_path / "image.tar"
    subprocess.run(["podman", "save", "-q", "--format=docker-archive", "-o", str(saved), image], check=True)
    found: list[str] = []
    layers = 0
    with tarfile.open(saved) as outer:
        for layer in outer:
            if not layer.name.endswith(".tar"):
                continue
            layers += 1
            file = outer.extractfile(layer)
            with tarfile.open(fileobj=file) as inner:
                found += [member.name for member in inner if SECRETS.search(member.name) and member.size]
    saved.unlink()
    assert layers > 3 and found == []
    history = json.dumps(inspected(image)["History"])
    assert not re.search(r"index-url|find-links|INDEX_URL|FIND_LINKS|://[^/\s\"]*@|TOKEN|PASSWORD", history)


@pytest.mark.parametrize("step", ["register", "deploy"])
def test_register_and_deploy_reach_their_work_within_a_second(podman: Podman, step: str) -> None:
    code = f"import kfp.dsl.executor_main, components.{step}.steps, time\nprint(time.process_time())"
    podman("python", "-c", code, options=("--env=_KFP_RUNTIME=true",))  # files are read for the first time
    assert float(podman("python", "-c", code, options=("--env=_KFP_RUNTIME=true",))) < 1
