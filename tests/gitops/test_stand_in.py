"""The API server that tests have instead of a cluster gives every recorded object as the real one gave it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.api_servers import RECORDED, ApiServerStandIn, path_of

from delivery.kserve.api_server import ApiServer

PATHS = [path for pattern in ("kserve-*.yaml", "argocd-*.yaml") for path in sorted(RECORDED.glob(pattern))]
OBJECTS: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in PATHS}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ApiServerStandIn, ApiServer]]:
    with ApiServerStandIn() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path)))
        yield server, ApiServer()


@pytest.mark.parametrize("state", OBJECTS)
def test_a_recorded_object_is_given_as_it_was_alone_and_in_a_list(
    state: str, cluster: tuple[ApiServerStandIn, ApiServer]
) -> None:
    server, client = cluster
    entry = OBJECTS[state]
    server.objects.append(entry)
    path = path_of(entry)
    assert client.read(path) == entry
    listed = client.read(path.rpartition("/")[0])
    assert listed is not None and listed["items"] == [entry]
    assert client.read(f"{path}-other") is None


def test_every_recorded_object_of_the_cluster_is_held() -> None:
    of_kubernetes = {path.stem for path in RECORDED.glob("*.yaml") if not path.stem.startswith("kfp-")}
    assert of_kubernetes == OBJECTS.keys() and len(OBJECTS) >= 60
