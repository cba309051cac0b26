"""The page that sets up a cluster: its commands are ones that kubectl and ostinato take."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "kubeflow.md").read_text()
KUBECTL = Path(sys.executable).parent / "kubectl"
COMMANDS = [line.strip() for line in PAGE.splitlines() if re.match(r"    \S", line)]
CREATES = [one for one in COMMANDS if one.startswith("kubectl create ") and " create token " not in one]


@pytest.mark.parametrize("command", CREATES)
def test_kubectl_takes_every_create_of_the_page(command: str, tmp_path: Path) -> None:
    for name in ("store-id.txt", "store-secret.txt", "root.txt", "providers.yaml", "release.pem"):
        (tmp_path / name).write_text("x")
    docker = tmp_path / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text('{"auths": {}}')
    given = {"NAMESPACE": "forecasting", "HOME": str(tmp_path), "FORGE_TOKEN": "a", "MLFLOW_TOKEN": "b"}
    done = subprocess.run(
        ["bash", "-c", command.replace("kubectl", str(KUBECTL), 1) + " --dry-run=client -o yaml"],
        cwd=tmp_path,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    assert made["metadata"]["namespace"] in ("forecasting", "kubeflow")


def test_there_are_commands_to_check() -> None:
    assert len(CREATES) >= 9


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("ostinato ")])
def test_ostinato_has_every_command_and_option_of_the_page(command: str) -> None:
    words = shlex.split(command)[1:]
    found = get_command(app)
    while words and hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    known = {name for parameter in found.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_settings_of_the_page_are_ones() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    given = tomllib.loads(text)["tool"]["ostinato"]["kubeflow"]
    settings = KubeflowSettings.model_validate(given)
    assert settings.model_dump(include=set(given)) == given


def test_the_yaml_of_the_page_is_yaml() -> None:
    launcher, pod = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    assert launcher["s3"]["default"]["credentials"]["secretRef"]["secretName"] == "store"
    assert pod["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]["audience"] == "pipelines.kubeflow.org"
