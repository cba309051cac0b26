"""What only a real cluster can keep: every such promise says what it was seen on, and `make conformance` starts, skips
and removes as docs/how-to/conformance.md says. A `kubectl` of ours stands for the cluster: nothing here runs on one."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.pages import ROOT, anchors

from conformance.report import PAGE, Outcome, Promise, markdown, promises

FILES = sorted((ROOT / "conformance").glob("test_*.py"))
SEEN = re.compile(
    r"(recordings|measured): (Kubernetes|KServe|Argo CD|Kubeflow Pipelines) [\w.]+|laptop: \w+|conformance: \S+"
)
PROMISES = promises()


def cluster_tests() -> set[str]:
    return {
        f"{path.relative_to(ROOT).as_posix()}::{node.name}"
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("promise", PROMISES, ids=[promise.text for promise in PROMISES])
def test_every_promise_says_what_it_was_seen_on_and_where_it_is_made(promise: Promise) -> None:
    assert SEEN.match(promise.seen), promise.seen
    link = re.fullmatch(r"\[[^]]+\]\(([^)#]+)#([^)]+)\)", promise.docs)
    assert link and link[2] in anchors(PAGE.parent / link[1])


def test_every_test_of_a_cluster_is_of_one_promise_and_is_there() -> None:
    named = [promise.test for promise in PROMISES if promise.test]
    assert sorted(named) == sorted(cluster_tests()) and len(PROMISES) >= 20


def test_the_report_tells_held_broken_and_skipped_apart() -> None:
    (shapes, first, *rest) = PROMISES
    outcomes = [
        Outcome(f"{shapes.test}[a]", "held", ""),
        Outcome(f"{shapes.test}[b]", "skipped", "the cluster does not know one of its kinds"),
        Outcome(first.test, "held", ""),
        Outcome(rest[0].test, "broken", "3 | lost\nrequests"),
    ]
    lines = markdown(outcomes, {"KServe": "v0.20.0", "Argo CD": ""}).splitlines()
    assert lines[2:4] == ["| KServe | v0.20.0 |", "| Argo CD | not found |"]
    assert f"| {shapes.text} | skipped | the cluster does not know one of its kinds |" in lines
    assert f"| {first.text} | held |  |" in lines
    assert f"| {rest[0].text} | broken | 3 / lost requests |" in lines
    assert f"| {rest[1].text} | skipped | no test of a cluster ran for it |" in lines


def conformance(folder: Path, *arguments: str, kubectl: str = "exit 1", **extra: str) -> subprocess.CompletedProcess:
    """`make conformance` with another kubectl, which notes what it was asked."""
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{kubectl}\n')
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OSTINATO_", "KUBECONFIG"))}
    kept |= {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "OSTINATO_CONFORMANCE_KUBECTL": str(program), **extra}
    command = [sys.executable, "-m", "pytest", "conformance", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True)


def test_nothing_starts_without_a_cluster(tmp_path: Path) -> None:
    finished = conformance(tmp_path)
    assert finished.returncode == 2 and "KUBECONFIG is not set" in finished.stderr
    assert not (tmp_path / "asked").exists()


def test_what_is_missing_is_skipped_with_the_reason_and_nothing_is_made(tmp_path: Path) -> None:
    report = tmp_path / "table.md"
    places = {"KUBECONFIG": "/nowhere", "OSTINATO_CONFORMANCE_REPORT": str(report)}
    finished = conformance(tmp_path, **places)
    assert finished.returncode == 0, finished.stdout
    asked = (tmp_path / "asked").read_text()
    assert "create" not in asked and "delete" not in asked and "apply" not in asked
    text = report.read_text()
    assert "| KServe | not found |" in text and "| held |" not in text
    assert f"| {PROMISES[0].text} | skipped | KServe not found in the cluster |" in text
    assert "| A run on Kubeflow goes to the commit | skipped | OSTINATO_KUBEFLOW__ENDPOINT" in text


CLUSTER = """
pod='{"spec": {"containers": [{"image": "kserve/kserve-controller:v0.20.0"}]}}'
case "$*" in
  *deployment*kserve-controller-manager*) echo "{\\"spec\\": {\\"template\\": $pod}}";;
  apply*) exit 1;;
esac
"""


def test_a_namespace_is_removed_after_a_failure(tmp_path: Path) -> None:
    one = "conformance/test_serving.py::test_every_shape_is_admitted_strictly[Scaling by load]"
    chosen = ("-k", "test_every_shape and Scaling")
    finished = conformance(tmp_path, *chosen, kubectl=CLUSTER, KUBECONFIG="/nowhere")
    assert finished.returncode == 1 and one in finished.stdout
    asked = (tmp_path / "asked").read_text().splitlines()
    made = [line.split()[2] for line in asked if line.startswith("create namespace ")]
    removed = [line.split()[2] for line in asked if line.startswith("delete namespace ")]
    assert made and made == removed
    assert {line for line in asked if line.startswith("label")} == {
        f"label namespace {name} ostinato.dev/conformance={name.split('-')[1]}" for name in made
    }
