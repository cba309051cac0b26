"""`ostinato serve --follow` under misfortune: a version that does not come up, a killed server, git away, the end."""

import os
import signal
from pathlib import Path

import pytest
from harness.candidates import candidate
from harness.following import WAIT_S, Following, following, plain_rows, wait_until
from harness.two_versions import MODEL, Shop

from app.client import DemandForecast


def answer(served: Following) -> list[float]:
    with DemandForecast(served.url, MODEL, timeout_s=WAIT_S) as endpoint:
        return endpoint.forecast(plain_rows(served.shop))


def test_a_version_that_does_not_come_up_leaves_the_old_one_serving_and_says_why_until_git_changes(
    shop: Shop, tmp_path: Path
) -> None:
    not_loadable = candidate(tmp_path / "bad", 3, model=MODEL)
    assert shop.place.register(3, not_loadable) == "3"
    with following(shop, tmp_path / "log") as served:
        assert shop.ostinato("promote", MODEL, "--version", "3").returncode == 0
        served.wait_until_said("version 3 did not come up, version 1 goes on until git changes: its server ended")
        assert "MLmodel has no signature" in served.said
        assert answer(served) == shop.answers["1"].tolist()
        assert shop.ostinato("promote", MODEL, "--version", "2").returncode == 0
        served.wait_until_said("version 2 answers now")
        assert answer(served) == shop.answers["2"].tolist()
        assert served.said.count("did not come up") == 1


def test_while_git_is_away_the_version_goes_on_and_what_is_new_comes_when_it_is_back(
    shop: Shop, tmp_path: Path
) -> None:
    repository = shop.root / ".ostinato" / "manifests.git"
    away = repository.with_name("away.git")
    with following(shop, tmp_path / "log") as served:
        repository.rename(away)
        served.wait_until_said("version 1 goes on: manifests remote .* does not exist")
        assert answer(served) == shop.answers["1"].tolist()
        away.rename(repository)
        assert shop.ostinato("promote", MODEL, "--version", "2").returncode == 0
        served.wait_until_said("version 2 answers now")
        assert served.said.count("goes on") == 1


def test_a_killed_server_is_started_again_and_callers_wait_for_it(shop: Shop, tmp_path: Path) -> None:
    with following(shop, tmp_path / "log") as served:
        (killed,) = served.replicas()
        os.kill(killed, signal.SIGKILL)
        assert answer(served) == shop.answers["1"].tolist()
        served.wait_until_said("version 1 ended with exit code -9; starting it again")
        assert served.replicas() != [killed]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_no_server_is_left_when_it_ends(shop: Shop, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    with following(shop, tmp_path / "log") as served:
        (replica,) = served.replicas()
        served.process.send_signal(sent)
        assert served.process.wait(WAIT_S) == code
        wait_until(lambda: not Path(f"/proc/{replica}/cmdline").is_file() or zombie(replica), "the end of the server")


def zombie(pid: int) -> bool:
    """Whether it has ended, and nobody has waited for it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
