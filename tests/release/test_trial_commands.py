"""`ostinato canary`, `ostinato shadow` and what `ostinato status` says of them, as they are typed."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from harness.candidates import model_spec
from harness.command_line import OSTINATO, Finished, environment
from harness.registered import Place
from harness.shops import amounts, fit_and_save, shop_rows

from delivery.serving.process.process import serving

NAME = "bike-demand"
GATEWAY = {"name": "public", "namespace": "gateways", "hostname": "bikes.example.org"}
Ostinato = Callable[..., Finished]


@pytest.fixture
def ostinato(place: Place, tmp_path: Path) -> Ostinato:
    """The command line in a workspace whose one model is `bike-demand`."""
    folder = tmp_path / "checkout" / "training" / "bike_demand"
    folder.mkdir(parents=True)
    spec = model_spec(serving={"gateway": GATEWAY})
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    places = {"OSTINATO_TRACKING_URI": place.tracking_uri, "OSTINATO_MANIFESTS_REMOTE": place.remote}

    def run(*arguments: str, expect: int = 0) -> Finished:
        done = subprocess.run(
            [str(OSTINATO), *arguments],
            cwd=tmp_path,
            env=environment(tmp_path / "checkout", **places),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


def test_a_canary_from_start_to_finish_as_it_is_typed(ostinato: Ostinato) -> None:
    ostinato("promote", NAME, "--version", "1")
    said = ostinato("canary", NAME, "--percent", "10").out
    assert "the canary, version 3 with 10 % of the requests, is on main (commit" in said
    status = ostinato("status", NAME).out
    assert "version 3 is a canary and gets 10 % of the requests" in status and "reconcile" not in status
    as_json = json.loads(ostinato("status", NAME, "--json").out)[0]
    told = {key: as_json[key] for key in ("live", "canary", "canary_percent", "champion", "agree")}
    assert told == {"live": "1", "canary": "3", "canary_percent": 10, "champion": "1", "agree": True}
    assert "is on main already" in ostinato("canary", NAME, "--percent", "10").out
    started = ostinato("canary", NAME, "--finish").out
    assert "version 3 is on main (commit" in started
    assert f"type: ostinato canary {NAME} --finish" in started
    assert "there is no kubeconfig that can be used" in started
    status = ostinato("status", NAME).out
    assert "version 3 takes over; its canary answers until it is rolled out" in status and "reconcile" not in status
    as_json = json.loads(ostinato("status", NAME, "--json").out)[0]
    described = {key: as_json[key] for key in ("live", "canary", "champion", "agree")}
    assert described == {"live": "3", "canary": "3", "champion": "1", "agree": True}
    finished = json.loads(ostinato("canary", NAME, "--finish", "--json").out)
    assert (finished["version"], finished["canary_percent"], finished["changed"]) == ("3", 0, True)
    assert [(one["alias"], one["after"]) for one in finished["aliases"]] == [("champion", "3"), ("previous", "1")]
    assert "no canary runs; version 3 is live" in ostinato("canary", NAME, "--abort").out


def test_rollback_is_the_one_command_to_get_out_of_a_canary(ostinato: Ostinato) -> None:
    ostinato("promote", NAME, "--version", "1")
    ostinato("canary", NAME, "--percent", "50", "--version", "2")
    assert "version 1 is on main (commit" in ostinato("rollback", NAME).out
    assert json.loads(ostinato("status", NAME, "--json").out)[0]["canary"] == ""


def test_a_shadow_is_shown_and_taken_away(ostinato: Ostinato) -> None:
    ostinato("promote", NAME, "--version", "1")
    assert "version 2 gets a copy of the requests" in ostinato("shadow", NAME, "--version", "2").out
    assert "version 2 is a shadow" in ostinato("status", NAME).out
    ostinato("shadow", NAME, "--off")
    assert "shadow" not in ostinato("status", NAME).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["canary"], "give exactly one of --percent, --finish, --abort; given: none"),
        (["canary", "--finish", "--abort"], "given: --finish and --abort"),
        (["canary", "--finish", "--version", "2"], "--version 2 goes with --percent"),
        (["canary", "--percent", "0"], "1 to 99 percent"),
        (["canary", "--percent", "ten"], "Invalid value for '--percent'"),
        (["canary", "--percent", "5"], "is not live, so there is nothing to be a canary beside"),
        (["shadow"], "give exactly one of --version, --off, --compare"),
        (["shadow", "--off"], "is not live, so it has no requests to mirror"),
        (["shadow", "--compare", "rows.csv"], "needs both --url, of the live model, and --shadow-url"),
        (["shadow", "--compare", "none.csv", "--url", "http://a", "--shadow-url", "http://b"], "does not exist"),
    ],
)
def test_what_is_typed_wrongly_is_named(ostinato: Ostinato, arguments: list[str], said: str) -> None:
    assert said in ostinato(arguments[0], NAME, *arguments[1:], expect=2).err


def test_the_answers_of_two_servers_are_compared_on_the_terminal(ostinato: Ostinato, tmp_path: Path) -> None:
    rows = shop_rows(300)
    folders = [fit_and_save(tmp_path / str(at) / "model", rows, amounts(rows) + at) for at in (0, 1)]
    file = tmp_path / "rows.parquet"
    pd.DataFrame(shop_rows(120, seed=5)).to_parquet(file)
    with serving(folders[0], NAME) as live, serving(folders[1], NAME) as shadow:
        asked = ["shadow", NAME, "--compare", str(file), "--url", live.url, "--shadow-url", shadow.url]
        told = ostinato(*asked).out
        found: dict[str, Any] = json.loads(ostinato(*asked, "--json").out)
    assert "120 rows" in told and "q99" in told and "correlation" in told
    assert found["rows"] == 120 and 0.5 < found["mean_difference"] < 1.5
