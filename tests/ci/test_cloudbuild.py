"""The build files: Google's own readers take them, and everything that they name is there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.devtools.cloudbuild_v1.types import Build, BuildOptions
from google.protobuf import json_format
from typer.main import get_command

import pipelines.cli

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
FILES = ("cloudbuild.yaml", "cloudbuild-quality.yaml")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
SCRIPTS = sorted((ROOT / "ci").glob("*.sh"))
GIVEN = {"PROJECT_ID", "COMMIT_SHA", "REPO_FULL_NAME", "LOCATION", "BUILD_ID", "_PR_NUMBER", "_BASE_BRANCH"}
"""What Cloud Build itself substitutes; the last two of pull requests."""


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text())


def plain(text: str) -> str:
    """Shell without its comments, each command on one line."""
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE).replace("\\\n", " ")


def called(text: str) -> str:
    """With the files of ci/ that it calls, and that those source."""
    files = set(re.findall(r"ci/\w+\.sh", text))
    files |= {one for file in files for one in re.findall(r"^\. (ci/\S+)", (ROOT / file).read_text(), re.M)}
    return plain("\n".join([text, *((ROOT / file).read_text() for file in sorted(files))]))


def steps(name: str) -> dict[str, dict[str, Any]]:
    return {step["id"]: step for step in read(name)["steps"]}


@pytest.mark.parametrize("name", FILES)
def test_googles_message_takes_the_whole_file(name: str) -> None:
    build = Build(json_format.ParseDict(read(name), Build()._pb))
    assert [step.id for step in build.steps] == list(steps(name))
    assert all(step.timeout.total_seconds() > 0 for step in build.steps)
    assert build.options.logging == BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY
    assert sum(step.timeout.total_seconds() for step in build.steps) <= build.timeout.total_seconds() <= 86_400


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")
@pytest.mark.parametrize("name", FILES)
def test_gclouds_own_reader_takes_it(name: str) -> None:
    sdk = Path(str(shutil.which("gcloud"))).resolve().parents[1]
    program = [sys.executable, str(Path(__file__).with_name("gcloud_loader.py")), str(sdk), str(ROOT / name)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.stdout == f"{len(steps(name))} CLOUD_LOGGING_ONLY\n", done.stderr


@pytest.mark.parametrize("name", FILES)
def test_the_published_schema_takes_it(name: str) -> None:
    command = [str(TOOLS / "check-jsonschema"), "--builtin-schema", "vendor.cloudbuild", str(ROOT / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", FILES)
def test_a_step_waits_for_steps_before_it(name: str) -> None:
    before: set[str] = set()
    for step in read(name)["steps"]:
        assert set(step.get("waitFor", [])) <= before, step["id"]
        before.add(step["id"])


@pytest.mark.parametrize("name", FILES)
def test_every_substitution_is_defined_and_used(name: str) -> None:
    build = read(name)
    own = set(build["substitutions"])
    text = called("\n".join(step["script"] for step in build["steps"]))
    rest = {**build, "steps": [{**step, "script": ""} for step in build["steps"]]}
    fields = set(re.findall(r"\$\{?([A-Z_]+)", yaml.safe_dump(rest, width=10_000)))
    shell = set(re.findall(r"\$\{?(_[A-Z_]+)", text))
    used = fields | shell | {given for given in GIVEN if re.search(rf"\$\{{?{given}\b", text)}
    assert used - GIVEN == own


@pytest.mark.parametrize("name", FILES)
def test_a_step_is_given_secrets_that_the_build_has_and_the_account_may_read(name: str) -> None:
    build = read(name)
    secrets = {one["env"]: one["versionName"].split("/")[3] for one in build["availableSecrets"]["secretManager"]}
    given = {one for step in build["steps"] for one in step.get("secretEnv", [])}
    assert given == set(secrets)
    account = build["serviceAccount"].partition("ostinato-")[2].partition("@")[0]
    infra = (ROOT / "infra" / "secrets.tf").read_text()
    for secret in secrets.values():
        readers = re.search(rf"^\s+{secret}\s*= \[(.*)\]$", infra, re.M)
        assert readers and f'"{account}"' in readers[1], secret


def test_the_image_is_stated_and_pushed_by_digest_and_marks_what_is_done() -> None:
    build = read("cloudbuild.yaml")
    assert build["options"]["requestedVerifyOption"] == "VERIFIED"
    assert build["images"] == ["${_IMAGE}:${COMMIT_SHA}", "${_IMAGE}:done-${COMMIT_SHA}"]
    assert '--key "$COMMIT_SHA"' in called(steps("cloudbuild.yaml")["submit"]["script"])


def test_the_infrastructure_gives_the_build_its_substitutions() -> None:
    infra = (ROOT / "infra" / "builds.tf").read_text()
    given = set(re.findall(r"^    (_[A-Z_]+)\s+=", infra, re.M))
    assert given <= set(read("cloudbuild.yaml")["substitutions"])
    assert set(re.findall(r'filename\s+= "(.*)"', infra)) == set(FILES)


def commands() -> list[tuple[str, list[str]]]:
    """Every `ostinato` command of the build files, the workflows and ci/, with its options."""
    texts = [path.read_text() for path in SCRIPTS]
    texts += [step["script"] for name in FILES for step in read(name)["steps"]]
    for path in WORKFLOWS:
        jobs = yaml.safe_load(path.read_text())["jobs"].values()
        texts += [step.get("run", "") for job in jobs for step in job["steps"]]
    found = re.findall(r"(?:^|[(; ]|/)ostinato ([a-z][-a-z]*)([^\n|;)]*)", "\n".join(map(plain, texts)), re.M)
    arrays = " ".join(re.findall(r"options=\((.*?)\)", "\n".join(map(plain, texts))))
    return [
        (name, re.findall(r"(?<!\S)(--[a-z][-a-z]*)", rest + (arrays if "options[@]" in rest else "")))
        for name, rest in found
    ]


def test_every_command_and_option_is_one_that_ostinato_has() -> None:
    known = get_command(pipelines.cli.app).commands  # pyright: ignore[reportAttributeAccessIssue]
    found = commands()
    assert {name for name, _ in found} == {"affected", "comment", "compile", "run", "status", "submit", "verify"}
    for name, options in found:
        has = {option for parameter in known[name].params for option in parameter.opts}
        assert set(options) <= has, name


@pytest.mark.parametrize("name", FILES)
def test_shell_steps_pass_shellcheck(name: str, tmp_path: Path) -> None:
    for step in read(name)["steps"]:
        (tmp_path / f"{step['id']}.sh").write_text(step["script"])
    files = [*map(str, sorted(tmp_path.glob("*.sh"))), *map(str, SCRIPTS)]
    done = subprocess.run([str(TOOLS / "shellcheck"), "-x", *files], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_scripts_are_there_and_can_be_run() -> None:
    texts = [(ROOT / name).read_text() for name in FILES] + [path.read_text() for path in WORKFLOWS]
    for path in sorted(set(re.findall(r"ci/\w+\.sh", "\n".join(texts)))):
        assert (ROOT / path).stat().st_mode & 0o111, path
