"""A tree of manifests, built offline by the real kustomize inside kubectl."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

KUBECTL = Path(sys.executable).with_name("kubectl")
SEED = Path(__file__).parents[2] / "manifests"
CLOSED: dict[str, set[str]] = {
    "ConfigMap": {"apiVersion", "kind", "metadata", "data"},
    "ServiceAccount": {"apiVersion", "kind", "metadata", "secrets", "imagePullSecrets", "automountServiceAccountToken"},
}
"""Kinds of Kubernetes' own, which have no CRD: the fields that they may have."""


def kubectl(*arguments: str) -> str:
    """What kubectl prints; it may talk to no cluster."""
    command = [str(KUBECTL), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "KUBECONFIG": os.devnull})
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def built(folder: Path) -> list[dict[str, Any]]:
    """The documents of one kustomization."""
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


def kustomizations(tree: Path) -> list[Path]:
    """Folders of all kustomizations that can be built by themselves, which components can't."""
    files = sorted(tree.rglob("kustomization.yaml"))
    return [file.parent for file in files if yaml.safe_load(file.read_text()).get("kind") != "Component"]


def checkout(repository: Path, folder: Path) -> Path:
    """The live branch of a bare repository as files."""
    command = ["git", "clone", "--quiet", "--branch", "main", str(repository), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def with_environments(tree: Path) -> Path:
    """The same tree after the one line of argocd/kustomization.yaml that turns environments on."""
    file = tree / "argocd" / "kustomization.yaml"
    text = file.read_text()
    assert text.count("\n# components: [environments]\n") == 1
    file.write_text(text.replace("# components: [environments]", "components: [environments]"))
    return tree


def only(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one document of a kind."""
    (found,) = (one for one in documents if one["kind"] == kind)
    return found
