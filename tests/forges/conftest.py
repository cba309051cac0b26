"""A manifests repository behind HTTP, a forge over it, and a registry with three versions."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from harness.candidates import candidate, model_spec
from harness.forges.dialects import DIALECTS
from harness.forges.stand_in import TOKEN, ForgeServer
from harness.places import empty_store, own_environment, place, three_versions, writable_repository
from harness.registered import Place
from harness.servers import GitServer, git_server

from components.deploy.steps import deploy
from delivery.connections import Connections
from delivery.releases.operations import promote
from delivery.releases.release import Release

__all__ = ["empty_store", "git_server", "own_environment", "place", "three_versions"]


@dataclass(frozen=True)
class Desk:
    """Where releases are proposed: a place, and its forge."""

    place: Place
    forge: ForgeServer

    @property
    def connections(self) -> Connections:
        return replace(self.place.connections, forge=self.forge.setting)

    def run(self, version: str, champion: str = "", **spec: Any) -> Release:
        """What the pipeline does last, for a version that was judged against the champion."""
        files = candidate(Path(tempfile.mkdtemp(dir=self.place.work)) / "run", int(version), champion=champion)
        text = model_spec(**spec).canonical_json()
        return deploy(text, self.connections, version, "pull-request", "c0de", "run", files.verdict)

    def promote(self, version: str, **spec: Any) -> Release:
        """What `ostinato promote --release pull-request` does."""
        return promote(model_spec(**spec), self.connections, version, "pull-request").result


Start = Callable[[str], Desk]
"""Starts the forge of a kind, over the place."""


@pytest.fixture
def manifests(git_server: GitServer) -> Path:
    return writable_repository(git_server.root / "fleet" / "manifests.git")


@pytest.fixture
def remote(manifests: Path, git_server: GitServer) -> str:
    return git_server.url_of(manifests)


@pytest.fixture
def start(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("OSTINATO_FORGE_TOKEN", TOKEN)
    with ExitStack() as servers:
        yield lambda kind: Desk(place, servers.enter_context(ForgeServer(DIALECTS[kind], place.manifests)))


@pytest.fixture(params=list(DIALECTS))
def desk(request: pytest.FixtureRequest, start: Start) -> Desk:
    return start(request.param)


@pytest.fixture
def github(start: Start) -> Desk:
    return start("github")
