"""A request that reaches the server long after the client gave up on it, and after the command finished without it.

No client can prevent that. What it leaves is never released, and the next command puts it right.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from exactly_once.attempts import BOUND_S, attempt, chance, new_release
from exactly_once.invariants import World, aliases_follow_git, all_hold
from exactly_once.weather import BadWeather
from harness.candidates import model_spec

from delivery.connections import Connections
from delivery.registry.lookup import registry
from delivery.releases.reconcile import reconcile
from delivery.releases.release import release
from training.errors import InputError

IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
}


@pytest.fixture
def proxy(served: World) -> Iterator[BadWeather]:
    with BadWeather(served.tracking_uri, chance(), 0) as proxy:
        yield proxy


def land(proxy: BadWeather) -> None:
    assert proxy.late is None, "the request was never made"
    proxy.let_go.set()
    assert proxy.landed.wait(BOUND_S)


def test_a_late_copy_of_a_version_is_never_released_and_goes_with_the_next_run(
    served: World, proxy: BadWeather, tmp_path: Path
) -> None:
    name = "late-version"
    proxy.late = ("/model-versions/create", name.encode())
    run = new_release(tmp_path / "1", name, Connections(proxy.url, served.remote), 1)
    assert attempt(run, **IMPATIENT).ended == "done"
    all_hold(served, {name: ["1"]})
    land(proxy)
    assert [one.version for one in registry(served.tracking_uri).versions(name)] == ["1", "2"]
    with pytest.raises(InputError, match=r"version 2 of late-version is a copy of version 1; release that one"):
        release(model_spec(name), served.connections, "2", "direct")
    assert attempt(run).ended == "done"
    all_hold(served, {name: ["1"]})


def test_an_alias_that_is_set_late_follows_git_again_with_the_next_reconcile(
    served: World, proxy: BadWeather, tmp_path: Path
) -> None:
    name = "late-alias"
    proxy.late = ("/registered-models/alias", b'"champion"')
    assert (
        attempt(new_release(tmp_path / "1", name, Connections(proxy.url, served.remote), 1), **IMPATIENT).ended
        == "done"
    )
    assert attempt(new_release(tmp_path / "2", name, Connections(proxy.url, served.remote), 2, "1")).ended == "done"
    all_hold(served, {name: ["1", "2"]})
    land(proxy)
    with pytest.raises(AssertionError, match="git says"):
        aliases_follow_git(served)
    reconcile(served.connections)
    all_hold(served, {name: ["1", "2"]})
