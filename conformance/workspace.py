"""A workspace of a user whose model is served in a namespace of this run, and the product's own commands in it."""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from conformance.cluster import command, kubectl, wait_for

ROOT = Path(__file__).parents[1]
MODEL = "demand-forecaster"
MANIFEST = f"models/{MODEL}/inferenceservice.yaml"


class Workspace:
    """remote: of the manifests repository, a bare one of its own unless the cluster has to read it; filled if empty."""

    def __init__(self, root: Path, namespace: str, secret: str, remote: str = "") -> None:
        self.root, self.namespace = root, namespace
        shutil.copytree(ROOT / "training" / "demand_forecaster", root / "training" / "demand_forecaster")
        shutil.copytree(ROOT / "manifests", root / "manifests")
        self.remote = remote or str(root / "manifests.git")
        if not remote:
            command("git", "init", "--quiet", "--bare", "--initial-branch=main", self.remote)
        if not (self.checkout() / "argocd").is_dir():
            self.commit("Start")
        self.serve(namespace=namespace, scaling={"min_replicas": 1, "max_replicas": 1})
        if secret:
            self.serve(storage_secret=secret)

    def serve(self, **fields: Any) -> None:
        """Change how the spec says that the model is served; None takes a field away."""
        path = self.root / "training" / "demand_forecaster" / "spec.yaml"
        spec = yaml.safe_load(path.read_text())
        spec["serving"] = {key: value for key, value in {**spec["serving"], **fields}.items() if value is not None}
        path.write_text(yaml.safe_dump(spec, sort_keys=False))

    def check(self, **fields: Any) -> None:
        """Add a check to the spec."""
        path = self.root / "training" / "demand_forecaster" / "spec.yaml"
        spec = yaml.safe_load(path.read_text())
        spec["quality"]["checks"].append(fields)
        path.write_text(yaml.safe_dump(spec, sort_keys=False))

    def ostinato(self, *arguments: str, expect: int | None = 0, **extra: str) -> str:
        places = {"OSTINATO_WORKSPACE": str(self.root), "OSTINATO_MANIFESTS_REMOTE": self.remote}
        return command("ostinato", *arguments, expect=expect, **{**places, **extra})

    def release(self, as_of: str) -> str:
        """A run from data to the commit; its version."""
        lines = self.ostinato("run", MODEL, "--param", f"as_of={as_of}").splitlines()
        return next(line.split()[1] for line in lines if line.startswith("version "))

    def status(self) -> dict[str, Any]:
        """`status --cluster` of the model."""
        document = json.loads(self.ostinato("status", MODEL, "--cluster", "--json"))
        return next(place for place in document["places"] if place["namespace"] == self.namespace)

    def health(self, *states: str, within_s: float = 900.0) -> dict[str, Any]:
        """The status as soon as the health is one of these."""

        def look() -> dict[str, Any] | None:
            row = self.status()
            return row if row["health"] in states else None

        return wait_for(f"health {' or '.join(states)}", look, within_s)

    def live(self) -> dict[str, Any]:
        """The status as soon as the version that git names serves."""

        def look() -> dict[str, Any] | None:
            row = self.status()
            return row if (row["health"], row["cluster_version"]) == ("Healthy", row["git_version"]) else None

        return wait_for("the version that git names", look)

    def checkout(self) -> Path:
        """A working copy of what is live, anew."""
        folder = self.root / "checkout"
        shutil.rmtree(folder, ignore_errors=True)
        command("git", "clone", "--quiet", self.remote, str(folder))
        return folder

    def commit(self, message: str, *edits: tuple[str, str, str]) -> None:
        """What the manifests repository starts from, or the live tree with texts replaced: path, old, new."""
        folder = self.checkout()
        if not edits:
            shutil.copytree(ROOT / "manifests", folder, dirs_exist_ok=True)
        for path, old, new in edits:
            text = (folder / path).read_text()
            assert old in text, f"{path} has no {old}"
            (folder / path).write_text(text.replace(old, new))
        who = ("-c", "user.name=Conformance", "-c", "user.email=conformance@example.org")
        command("git", "-C", str(folder), "add", "--all")
        command("git", "-C", str(folder), *who, "commit", "--quiet", "--message", message)
        command("git", "-C", str(folder), "push", "--quiet", "origin", "HEAD:main")

    def sync(self) -> None:
        """What Argo CD does, where there is none."""
        kubectl("apply", "--server-side", "--force-conflicts", "-k", str(self.checkout() / "models" / MODEL))
