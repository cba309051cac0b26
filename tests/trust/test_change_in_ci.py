"""The command `ostinato verify-change`, and what the CI of the manifests repository does with it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from harness.command_line import OSTINATO, ROOT, environment, run_ostinato
from harness.servers import GitServer, git_server
from trust.chain import NAME, Chain
from trust.working_copy import MANIFEST, Copy

from delivery.registry.lookup import registry
from delivery.trust.keys import VERIFY_KEY

__all__ = ["git_server"]


def test_the_command_lists_what_it_refuses_and_exits_with_3(copy: Copy) -> None:
    copy.commit({MANIFEST: copy.read(MANIFEST).replace(b"model-version: '2'", b"model-version: '9'")})
    uri = copy.chain.place.tracking_uri
    done = run_ostinato(copy.folder, "verify-change", "origin/main..HEAD", OSTINATO_TRACKING_URI=uri)
    assert done.code == 3
    assert f"refused: the change may not be merged:\n  {MANIFEST}: the registry has no version 9" in done.err


def workflow_step(job: str) -> str:
    text = (ROOT / "manifests" / ".github" / "workflows" / "verify-change.yaml").read_text()
    (step,) = yaml.safe_load(text)["jobs"][job]["steps"]
    return step["run"]


def cloud_build_step() -> str:
    (step,) = yaml.safe_load((ROOT / "manifests" / "cloudbuild.yaml").read_text())["steps"]
    return step["script"]


def bash(script: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    own = {"HOME": str(cwd), "GIT_CONFIG_GLOBAL": str(cwd / ".gitconfig"), "PATH": f"{OSTINATO.parent}:/usr/bin:/bin"}
    kept = environment(cwd, **own, **variables)
    kept.pop("OSTINATO_WORKSPACE")
    return subprocess.run(["bash", "-c", script], cwd=cwd, env=kept, capture_output=True, text=True, timeout=120)


@pytest.fixture
def at_the_forge(copy: Copy, git_server: GitServer) -> Iterator[dict[str, str]]:
    """A bad pull request 7 on a server, and what a runner of GitHub's is told."""
    served = git_server.root / "manifests.git"
    shutil.copytree(copy.chain.place.manifests, served)
    copy.commit({MANIFEST: copy.read(MANIFEST).replace(b"model-version: '2'", b"model-version: '9'")})
    copy.git("push", "--quiet", str(served), "HEAD:refs/pull/7/head")
    git_server.credentials = ("x-access-token", "t0ken")
    yield {
        "GITHUB_SERVER_URL": f"http://127.0.0.1:{git_server.server_port}",
        "GITHUB_REPOSITORY": "manifests",
        "GIT_TOKEN": "t0ken",
        "OSTINATO_TRACKING_URI": copy.chain.place.tracking_uri,
        "BASE": "main",
        "NUMBER": "7",
    }


def test_the_workflow_refuses_a_bad_pull_request_and_reconciles_what_was_merged(
    at_the_forge: dict[str, str], keys: dict[str, Path], tmp_path: Path, released: Chain
) -> None:
    home = tmp_path / "runner"
    home.mkdir()
    key = keys[VERIFY_KEY].read_text()
    refused = bash(workflow_step("verify"), home, VERIFY_KEY=key, **at_the_forge)
    assert refused.returncode == 3, refused.stderr
    assert "the registry has no version 9" in refused.stderr
    merged = bash(workflow_step("reconcile"), home, **at_the_forge)
    assert merged.returncode == 0, merged.stderr
    assert registry(released.place.tracking_uri).aliases(NAME)["champion"] == "2"


def test_the_cloud_build_does_the_same(copy: Copy) -> None:
    copy.commit({MANIFEST: copy.read(MANIFEST).replace(b"model-version: '2'", b"model-version: '9'")})
    told = {"_TRACKING_URI": copy.chain.place.tracking_uri, "_VERIFY_KEY": "", "_BASE_BRANCH": "main"}
    refused = bash(cloud_build_step(), copy.folder, _PR_NUMBER="7", **told)
    assert refused.returncode == 3, refused.stderr
    assert "the registry has no version 9" in refused.stderr
    merged = bash(cloud_build_step(), copy.folder, **told)
    assert merged.returncode == 0, merged.stderr


def test_the_workflow_may_only_read_and_runs_nobody_elses_action() -> None:
    text = (ROOT / "manifests" / ".github" / "workflows" / "verify-change.yaml").read_text()
    found = yaml.safe_load(text)
    assert found["permissions"] == {"contents": "read"}
    assert "uses:" not in text and "pull_request_target" not in text
    assert not any("${{" in workflow_step(job) for job in found["jobs"])


def test_the_scripts_of_ci_write_no_configuration_of_git_outside_their_repository() -> None:
    for script in (workflow_step("verify"), workflow_step("reconcile"), cloud_build_step()):
        assert "--global" not in script and "--system" not in script
