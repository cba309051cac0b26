"""GitHub's workflows: linted, pinned, and safe for what a fork's pull request brings."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
OURS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
ALL = [*OURS, *sorted((ROOT / "manifests" / ".github" / "workflows").glob("*.yaml"))]


def workflow(path: Path) -> dict[str, Any]:
    """`on` is what PyYAML reads as True."""
    found = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in found.items()}


def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(
        [str(TOOLS / "actionlint"), "-shellcheck", str(TOOLS / "shellcheck"), *map(str, ALL)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing() -> None:
    command = [str(TOOLS / "zizmor"), "--offline", "--no-progress", *map(str, ALL)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_the_version_beside(path: Path) -> None:
    for line in re.findall(r"^\s+(?:- )?uses: (.*)", path.read_text(), re.M):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # \S+", line), line


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_what_a_fork_wrote_meets_no_token_that_may_write(path: Path) -> None:
    found = workflow(path)
    assert "pull_request_target" not in found["on"] and "workflow_run" not in found["on"]
    assert found["permissions"] == {}
    for name, job in found["jobs"].items():
        writes = [scope for scope, what in job["permissions"].items() if what == "write"]
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts), name
        if writes and "pull_request" in found["on"]:
            assert set(writes) <= {"pull-requests", "statuses"}
            assert "head.repo.full_name == github.repository" in job["if"]
            assert all(step["with"]["ref"] == "${{ github.event.pull_request.base.sha }}" for step in checkouts)


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*")), ids=lambda path: path.name)
def test_issue_templates_are_what_github_reads(path: Path) -> None:
    schema = "vendor.github-issue-config" if path.stem == "config" else "vendor.github-issue-forms"
    done = subprocess.run([str(TOOLS / "check-jsonschema"), "--builtin-schema", schema, str(path)], capture_output=True)
    assert done.returncode == 0, done.stdout


def test_hooks_before_a_commit_run_tools_of_the_lock() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        program, *_ = hook["entry"].split()
        assert hook["language"] == "system" and (TOOLS / Path(program).name).exists(), hook


@pytest.mark.parametrize("folder", [ROOT, ROOT / "manifests"], ids=["project", "manifests"])
def test_code_owners_are_of_paths_that_are_there(folder: Path) -> None:
    lines = (folder / ".github" / "CODEOWNERS").read_text().splitlines()
    paths = [line.split()[0] for line in lines if line and not line.startswith("#")]
    made_by_releases = ("/models/", "/environments/production/")
    missing = [
        path for path in paths if path not in ("*", *made_by_releases) and not (folder / path.strip("/")).exists()
    ]
    assert paths[0] == "*" and missing == []
