"""The scripts of the builds, run in real checkouts. Docker alone is stood in for: its registry is a folder of names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ci.conftest import OURS, ROOT, History
from harness.command_line import environment

DOCKER = """#!/usr/bin/env bash
# The commands of docker that ci/image.sh uses; every call is written down.
echo "$*" >> "$REGISTRY/calls"
name() { echo "$REGISTRY/$(echo "$1" | tr '/:' '__')"; }
case "$1 $2" in
  "manifest inspect") test -e "$(name "$3")" ;;
  "pull --quiet") test -e "$(name "$3")" ;;
  "push --quiet") touch "$(name "$3")" ;;
  "inspect --format") echo "registry.example.org/ostinato@sha256:$(printf 'a%.0s' {1..64})" ;;
  "build --pull" | "tag "*) ;;
  *) exit 64 ;;
esac
"""
IMAGE = "registry.example.org/ostinato"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    folder = tmp_path / "registry"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "docker").write_text(DOCKER)
    (folder / "bin" / "docker").chmod(0o755)
    return folder


def build_image(history: History, registry: Path) -> list[str]:
    """The calls of docker."""
    (history.root / ".ostinato" / "build").mkdir(parents=True, exist_ok=True)
    (registry / "calls").write_text("")
    given = {"COMMIT_SHA": history.git("rev-parse", "HEAD"), "_IMAGE": IMAGE, "_LOOK_BACK": "50"}
    path = f"{registry / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, **given, "REGISTRY": str(registry), "PATH": path}
    subprocess.run([str(ROOT / "ci" / "image.sh")], cwd=history.root, env=env, check=True, capture_output=True)
    return (registry / "calls").read_text().splitlines()


def built(history: History, name: str) -> str:
    return (history.root / ".ostinato" / "build" / name).read_text().strip()


def change(history: History) -> str:
    history.append("docs/one.md", "one\n")
    history.commit()
    return history.git("rev-parse", "HEAD")


def test_a_build_is_compared_with_the_newest_one_before_that_ended_well(history: History, registry: Path) -> None:
    done = history.git("rev-parse", "HEAD")
    change(history)
    change(history)
    calls = build_image(history, registry)
    assert built(history, "base") == "0", "nothing has ended well yet"
    assert not any("--cache-from" in call for call in calls)
    (registry / f"registry.example.org_ostinato_done-{done}").touch()
    change(history)
    calls = build_image(history, registry)
    assert built(history, "base") == done
    assert any(f"build --pull --cache-from {IMAGE}:done-{done}" in call for call in calls)
    assert built(history, "image").startswith(f"{IMAGE}@sha256:")


def test_a_build_that_is_started_again_takes_the_image_that_it_has_pushed(history: History, registry: Path) -> None:
    commit = change(history)
    assert f"push --quiet {IMAGE}:{commit}" in build_image(history, registry)
    again = build_image(history, registry)
    assert not any(call.startswith(("build", "push")) for call in again)
    assert again[-2] == f"tag {IMAGE}:{commit} {IMAGE}:done-{commit}"


def test_the_plan_compiles_every_model_with_the_digest_and_names_the_affected(history: History) -> None:
    history.append("training/llm_qa/model.py", "\n# A comment.\n")
    history.commit()
    folder = history.root / ".ostinato" / "build"
    folder.mkdir(parents=True)
    image = f"{IMAGE}@sha256:{'a' * 64}"
    (folder / "image").write_text(image)
    (folder / "base").write_text("HEAD^")
    (history.root / "ci").symlink_to(ROOT / "ci")
    names = ("_TRACKING_URI", "_MANIFESTS_REMOTE", "PROJECT_ID", "_REGION")
    values = ("https://mlflow.example.org", "https://git.example.org/a/b.git", "my-project", "europe-west4")
    env = environment(history.root, **dict(zip(names, values, strict=True)))
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run([str(ROOT / "ci" / "plan.sh")], cwd=history.root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / "affected").read_text() == "llm-qa\n"
    assert all(image in (folder / f"{name}.yaml").read_text() for name in ("demand-forecaster", "llm-qa"))


def test_affected_models_are_judged_and_one_that_does_not_finish_is_told_so(history: History) -> None:
    history.edit(f"{OURS}/spec.yaml", "max_iter: 300", "max_iter: 3")
    history.edit("training/llm_qa/spec.yaml", "source: data/conversations.jsonl", "source: data/absent.jsonl")
    history.commit()
    env = environment(history.root)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    subprocess.run([str(ROOT / "ci" / "judge.sh"), "HEAD^..HEAD", "out"], cwd=history.root, env=env, check=True)
    folder = history.root / "out"
    assert (folder / "models").read_text().splitlines() == ["demand-forecaster", "llm-qa"]
    assert json.loads((folder / "demand-forecaster.json").read_text())["verdict"]["decision"] == "reject"
    assert (folder / "llm-qa.json").read_text() == ""
