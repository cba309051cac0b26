"""A whole chain, made small: a checkout with data and a spec, a signed version, and its release."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from harness.candidates import bare_git, candidate, judge, model_spec
from harness.registered import Place
from harness.verdicts import check, data_card, proof

from components.register.steps import Candidate
from delivery.documents.data_card import DATA_CARD_FILE
from delivery.documents.sample import make_sample
from delivery.models.folder import model_digest
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.stores.sources import snapshot
from delivery.trust.audit import Audit, audit
from training.spec import ModelSpec, load_spec

NAME = "bike-demand"


@dataclass(frozen=True)
class Chain:
    """What `bike-demand` was made from, and where it is."""

    root: Path
    spec: ModelSpec
    place: Place
    code: str

    def candidate(self, weight: int = 1, **checks: Any) -> Candidate:
        """A candidate with a real sample, card and proof. checks: fields of the verdict's one check."""
        files = candidate(Path(tempfile.mkdtemp(dir=self.place.work)), weight)
        rows, answers = pd.DataFrame({"temp": [1.5, 2.5]}), np.array([3.0, 4.0])
        sample = make_sample(NAME, "regression", model_digest(files.model), rows, answers, 1e-9)
        sample.write(files.sample)
        source = str(self.root / "training" / "bike_demand" / "bikes.csv")
        card = data_card(source=source, snapshot=snapshot(source, self.root, self.spec.data))
        card.write(files.data / DATA_CARD_FILE)
        judged = {"served": proof(sample_digest=sample.digest()), "spec_digest": self.spec.digest()}
        judge(files, weight, **judged, checks=(check(**checks),))
        return files

    def register(self, weight: int = 1, **checks: Any) -> str:
        return self.place.register(weight, self.candidate(weight, **checks), self.code)

    def audit(self, version: str | None = None) -> Audit:
        return audit(self.spec, self.root, self.place.connections, version)

    def artifacts(self, version: str) -> Path:
        """The folder of the run that registered a version."""
        found = registry(self.place.tracking_uri).version(NAME, version)
        assert found
        uri = mlflow_client(self.place.tracking_uri).get_run(found.run_id).info.artifact_uri
        return Path((uri or "").removeprefix("file://"))

    def folder(self, version: str) -> Path:
        return Path(registry(self.place.tracking_uri).storage_uri(NAME, version).removeprefix("file://"))

    @contextmanager
    def tagged(self, version: str, key: str, value: str) -> Iterator[None]:
        """A version with another tag, while the context lasts."""
        client = mlflow_client(self.place.tracking_uri)
        before = client.get_model_version(NAME, version).tags[key]
        client.set_model_version_tag(NAME, version, key, value)
        try:
            yield
        finally:
            client.set_model_version_tag(NAME, version, key, before)

    @contextmanager
    def manifest(self, content: bytes) -> Iterator[None]:
        """The live manifest edited by hand, while the context lasts."""
        before = bare_git(self.place.manifests, "rev-parse", "main")
        self.place.commit(f"models/{NAME}/inferenceservice.yaml", content)
        try:
            yield
        finally:
            bare_git(self.place.manifests, "update-ref", "refs/heads/main", before)


def make_chain(home: Path, tracking_uri: str, manifests: Path) -> Chain:
    """A checkout in git with a model's spec and data; nothing is registered yet."""
    root = home / "checkout"
    folder = root / "training" / "bike_demand"
    folder.mkdir(parents=True)
    (folder / "bikes.csv").write_text("ts,temp,count\n2024-01-01T00:00:00,1.5,3\n")
    written = json.loads(model_spec().model_dump_json(exclude_defaults=True))
    (folder / "spec.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    code = git_commit(root)
    work = home / "work"
    work.mkdir()
    spec = load_spec(folder / "spec.yaml")
    return Chain(root, spec, Place(tracking_uri, manifests, str(manifests), work, spec), code)


def git_commit(root: Path) -> str:
    """Commit all files of a checkout, which is made a repository first, and return the commit."""
    who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
    for arguments in (("init", "--quiet"), ("add", "-A"), (*who, "commit", "--quiet", "--message", "State")):
        subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def flipped(path: Path, at: int) -> Iterator[None]:
    """The file with one bit of the byte ``at`` turned, while the context lasts."""
    before = path.read_bytes()
    path.write_bytes(flip(before, at))
    try:
        yield
    finally:
        path.write_bytes(before)


def flip(content: bytes, at: int) -> bytes:
    at %= len(content)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
