"""`ostinato config`: what is in force and where it comes from; settings as flags."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command_line import Finished

Run = Callable[..., Finished]

FILE = """\
[tool.ostinato]
forge = "gitlab=https://git.example.org"
[tool.ostinato.vertex]
project = "from-file"
region = "europe-west4"
secrets = {OSTINATO_FORGE_TOKEN = "projects/p/secrets/forge/versions/3"}
"""


def settings(finished: Finished) -> dict[str, tuple[object, str]]:
    rows = json.loads(finished.out)["settings"]
    return {row["name"]: (row["value"], row["source"]) for row in rows}


def test_every_setting_is_told_with_where_it_comes_from_and_the_nearest_source_wins(
    workspace: Path, ostinato: Run
) -> None:
    (workspace / "pyproject.toml").write_text(FILE)
    told = ostinato(
        "config", "--json", "--set", "vertex.region=us-central1", expect=0,
        OSTINATO_VERTEX__PROJECT="from-environment", MLFLOW_TRACKING_URI="https://mlflow.example.org",
    )  # fmt: skip
    found = settings(told)
    assert found["vertex.project"] == ("from-environment", "OSTINATO_VERTEX__PROJECT")
    assert found["vertex.region"] == ("us-central1", "--set")
    assert found["forge"] == ("gitlab=https://git.example.org", "pyproject.toml")
    assert found["tracking_uri"] == ("https://mlflow.example.org", "MLFLOW_TRACKING_URI")
    assert found["kubeflow.experiment"] == ("ostinato", "default")
    assert found["vertex.secrets"][0] == {"OSTINATO_FORGE_TOKEN": "projects/p/secrets/forge/versions/3"}


def test_of_a_secret_only_its_presence_is_told(workspace: Path, ostinato: Run) -> None:
    told = ostinato("config", expect=0, OSTINATO_FORGE_TOKEN="hunter2", OSTINATO_SMTP_PASSWORD_FILE="/run/s/p")
    assert "secrets in the environment: OSTINATO_FORGE_TOKEN, OSTINATO_SMTP_PASSWORD_FILE" in told.out
    assert "hunter2" not in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--set", "vertex.regoin=x"), "--set vertex.regoin: there is no such setting. Did you mean 'region'?"),
        (("--set", "vertx.region=x"), "--set vertx.region: there is no such setting. Did you mean 'vertex'?"),
        (("--set", "vertex.region"), "'vertex.region' is not NAME=VALUE"),
        (("--set", "notify.on=[red]"), "setting notify.on.0"),
        (("--set", "notify.on=[failed"), "is not YAML"),
        (("--set", "vertex.pipeline_root=s3://bucket"), "setting vertex.pipeline_root"),
        (("--set", "forge=none", "--set", "forge=github"), "--set forge is given twice"),
    ],
)
def test_a_wrong_flag_is_refused_with_its_name(arguments: tuple[str, ...], what: str, ostinato: Run) -> None:
    told = ostinato("config", *arguments, expect=2)
    assert what in told.err and told.out == ""


def test_an_unknown_key_of_a_section_is_refused_wherever_it_stands(workspace: Path, ostinato: Run) -> None:
    assert "Did you mean 'project'?" in ostinato("config", expect=2, OSTINATO_VERTEX__PROJCT="x").err
    (workspace / "pyproject.toml").write_text("[tool.ostinato.kubeflow]\nnamespaces = 'x'\n")
    told = ostinato("status", expect=2).err
    assert "[tool.ostinato.kubeflow]" in told and "Did you mean 'namespace'?" in told
