"""Pull requests as they are typed: promote, status, reconcile; and a remote without a forge."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from forges.conftest import Desk
from harness.candidates import bare_git, model_spec
from harness.command_line import OSTINATO, Finished, environment
from harness.forges.stand_in import TOKEN
from harness.registered import Place

from delivery.registry.lookup import registry

NAME = "bike-demand"
Ostinato = Callable[..., Finished]


@pytest.fixture
def ostinato(place: Place, tmp_path: Path) -> Ostinato:
    """The command line in a workspace whose one model is `bike-demand`, proposed by pull request."""
    folder = tmp_path / "checkout" / "training" / "bike_demand"
    folder.mkdir(parents=True)
    spec = model_spec(release={"mode": "pull-request"})
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    places = {"OSTINATO_TRACKING_URI": place.tracking_uri, "OSTINATO_MANIFESTS_REMOTE": place.remote}

    def run(*arguments: str, expect: int = 0, **extra: str) -> Finished:
        done = subprocess.run(
            [str(OSTINATO), *arguments],
            cwd=tmp_path,
            env=environment(tmp_path / "checkout", **places, **extra),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert TOKEN not in done.stdout + done.stderr
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


def test_a_pull_request_from_promote_to_rejection_as_it_is_typed(github: Desk, ostinato: Ostinato) -> None:
    at: dict[str, str] = {"OSTINATO_FORGE": github.forge.setting, "OSTINATO_FORGE_TOKEN": TOKEN}
    said = ostinato("promote", NAME, "--version", "1", **at).out
    url = "https://github.example.org/fleet/manifests/pull/1"
    assert f"version 1 is on release/{NAME}/v1 (commit" in said and f"pull request {url}" in said
    as_json: Any = json.loads(ostinato("status", "--json", **at).out)
    assert [(one["version"], one["url"], one["draft"]) for one in as_json[0]["proposals"]] == [("1", url, False)]
    github.forge.close_by("ann", 1, "Not before Easter")
    said = ostinato("reconcile", **at).out
    assert f"{NAME}: version 1 is rejected: {url} closed by ann: Not before Easter" in said
    assert "is proposed" not in ostinato("status", **at).out
    ostinato("promote", NAME, "--version", "1", **at)
    found = registry(github.place.tracking_uri).version(NAME, "1")
    assert found and "ostinato.rejected" not in found.tags and github.forge.only_open().number == 2


def test_a_forge_that_fails_leaves_a_branch_that_status_tells_of(github: Desk, ostinato: Ostinato) -> None:
    at: dict[str, str] = {"OSTINATO_FORGE": github.forge.setting}
    said = ostinato("promote", NAME, "--version", "1", expect=1, **at).err
    assert "wants a token" in said and f"Branch release/{NAME}/v1 is pushed and stays" in said
    told = ostinato("status", **at).out
    assert f"version 1 is proposed at release/{NAME}/v1" in told and "was not asked, for there is no token" in told
    with_token = {**at, "OSTINATO_FORGE_TOKEN": TOKEN}
    assert "it has no pull request yet" in ostinato("status", **with_token).out


def test_without_a_forge_the_branch_is_pushed_and_the_commands_that_merge_it_work(
    place: Place, ostinato: Ostinato, tmp_path: Path
) -> None:
    said = ostinato("promote", NAME, "--version", "1").out
    assert "there is no forge for pull requests" in said
    lines = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    *commands, last = lines[: lines.index("ostinato reconcile") + 1]
    assert last == "ostinato reconcile"
    who = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "a@example.org"}
    who |= {"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_PAGER": "cat"}
    shell = subprocess.run(
        ["sh", "-ec", "\n".join(commands)],
        cwd=tmp_path,
        env=environment(tmp_path) | who,
        capture_output=True,
        text=True,
    )
    assert shell.returncode == 0, shell.stderr
    assert bare_git(place.manifests, "log", "-1", "--format=%s", "main").startswith("Merge remote-tracking branch")
    assert f"{NAME}@champion: none -> 1" in ostinato("reconcile").out


def test_a_wrong_forge_is_refused_before_anything_is_done(place: Place, ostinato: Ostinato) -> None:
    said = ostinato("promote", NAME, expect=2, OSTINATO_FORGE="githab").err
    assert "forge is 'githab'; give one of github, gitlab, gitea, none" in said and place.commits() == 1
