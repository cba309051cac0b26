"""The gate's word on a pull request: one comment, found again and kept up to date, and a status; on real sockets."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.command_line import run_ostinato
from harness.evidence import forecaster_verdict
from harness.forges.dialects import DIALECTS
from harness.forges.stand_in import TOKEN, ForgeServer, Pull
from harness.loopback import Fault
from harness.verdicts import check

from delivery.forges.forge import ForgeError
from delivery.releases.code_comment import MARKER, Judged, outcome, proposal_at, render_comment, write_comment
from delivery.releases.pull_request_text import LONGEST
from training.errors import InputError

BIKES = "demand-forecaster"
COMMIT = "c0de" * 10
LOG = "https://ci.example.org/runs/7"
PAGES = {"github": "pull", "gitea": "pulls", "gitlab": "-/merge_requests"}
PASSED = [Judged(BIKES, forecaster_verdict())]
REFUSED = [Judged(BIKES, forecaster_verdict(decision="reject"))]


@pytest.fixture(params=list(DIALECTS))
def forge(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeServer]:
    monkeypatch.setenv("OSTINATO_FORGE_TOKEN", TOKEN)
    with ForgeServer(DIALECTS[request.param], tmp_path) as server:
        server.pulls.append(Pull(1, "topic", "main", "A change", "", comments=[("ann", "I shall look.")]))
        yield server


def address(forge: ForgeServer) -> str:
    return f"{forge.url}/fleet/manifests/{PAGES[forge.dialect.kind]}/1"


def written(forge: ForgeServer) -> list[str]:
    return [said for _, said in forge.pulls[0].comments if said.startswith(MARKER)]


def states(forge: ForgeServer) -> list[str]:
    """Of the commit, in the forge's own words."""
    return [one.get("state") or one["status"] for one in forge.statuses.get(COMMIT, [])]


def test_one_comment_is_written_and_then_kept_up_to_date(forge: ForgeServer) -> None:
    url = address(forge)
    assert write_comment(url, REFUSED, COMMIT, LOG) == "wrote the comment"
    before = list(forge.seen)
    assert write_comment(url, REFUSED, "", LOG) == "the comment is up to date"
    assert forge.seen == before, "an equal text is not written again"
    assert write_comment(url, PASSED, COMMIT, LOG) == "brought the comment up to date"
    assert written(forge) == [render_comment(PASSED, LOG)]
    assert forge.pulls[0].comments[0] == ("ann", "I shall look.")
    assert states(forge) == ["failed" if forge.dialect.kind == "gitlab" else "failure", "success"]


def test_a_status_that_a_commit_has_is_no_trouble(forge: ForgeServer) -> None:
    write_comment(address(forge), PASSED, COMMIT)
    write_comment(address(forge), PASSED, COMMIT)
    assert set(states(forge)) == {"success"}


def test_a_comment_whose_answer_is_lost_is_written_once(forge: ForgeServer) -> None:
    ends = "/notes" if forge.dialect.kind == "gitlab" else "/comments"
    forge.faults.append(Fault("POST", ends, done=True))
    assert write_comment(address(forge), PASSED) == "the comment is up to date"
    assert len(written(forge)) == 1


def test_a_forge_that_stays_down_is_said_to_be_so(forge: ForgeServer) -> None:
    ends = "/notes" if forge.dialect.kind == "gitlab" else "/comments"
    forge.faults.append(Fault("POST", ends, status=503, times=99))
    with pytest.raises(ForgeError, match="has trouble of its own"):
        write_comment(address(forge), PASSED)
    assert written(forge) == []


def test_where_nothing_is_affected_only_an_older_comment_is_changed(forge: ForgeServer) -> None:
    assert write_comment(address(forge), [], COMMIT) == "nothing to say"
    assert (written(forge), states(forge)) == ([], ["success"])
    write_comment(address(forge), REFUSED)
    write_comment(address(forge), [])
    assert written(forge)[0].endswith("No model is affected: nothing was trained or judged.\n")


def test_without_a_token_the_variable_is_named(forge: ForgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OSTINATO_FORGE_TOKEN")
    with pytest.raises(InputError, match="set OSTINATO_FORGE_TOKEN"):
        write_comment(address(forge), PASSED)


def test_a_token_that_may_not_comment_is_named_and_not_shown(forge: ForgeServer) -> None:
    forge.token = "another"
    with pytest.raises(ForgeError, match="refuses the token of OSTINATO_FORGE_TOKEN") as raised:
        write_comment(address(forge), PASSED)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", "https://github.com/a/b", "https://u:p@github.com/a/b/pull/1", "file:///a/b/pull/1", "a/b/pull/1"]
)
def test_an_address_that_names_no_proposal_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is not the address of one"):
        proposal_at(url)


def test_addresses_of_each_forge_name_the_repository() -> None:
    assert proposal_at("https://github.com/acme/models/pull/12").remote == "https://github.com/acme/models.git"
    gitlab = proposal_at("https://gitlab.com/acme/deep/models/-/merge_requests/3")
    assert (gitlab.kind, gitlab.number, gitlab.remote) == ("gitlab", 3, "https://gitlab.com/acme/deep/models.git")


def test_the_text_holds_the_decision_and_every_check_and_is_bounded() -> None:
    told = render_comment([*PASSED, Judged("llm-qa", None)], LOG)
    assert f"- `{BIKES}` **✓ Pass**: mae 61.3 (60.1 to 62.6) against the champion's 66.9 (version 3)" in told
    assert "- `llm-qa` **✗ Did not finish**: there is no verdict; see the log." in told
    assert all(one.name in told for one in forecaster_verdict().checks)
    assert f"(<{LOG}>)" in told
    many = tuple(check(f"check {i}", "failed", "too much of it " * 20) for i in range(60))
    long = render_comment([Judged(f"model-{i}", forecaster_verdict(checks=many)) for i in range(20)], LOG)
    assert len(long) <= LONGEST
    assert "*Shortened; the whole evidence is in the reports of the runs.*" in long


def test_what_a_result_says_is_shown_and_does_nothing() -> None:
    told = render_comment([Judged("</summary><script>x</script> @ann", forecaster_verdict(model="x"))])
    assert "<script>" not in told.replace("`</summary><script>x</script> @ann`", "")


def test_a_status_is_short_and_names_what_failed() -> None:
    assert outcome([*REFUSED, Judged("llm-qa", None)]).text == (
        "checks failed: demand-forecaster; llm-qa did not finish"
    )
    assert outcome(PASSED * 2).text == "all checks passed: 2 models"
    assert len(outcome([Judged(f"a-long-name-of-a-model-{i}", None) for i in range(30)]).text) == 140


def results(folder: Path, **found: Any) -> list[str]:
    folder.mkdir()
    for name, document in found.items():
        (folder / f"{name}.json").write_text(json.dumps(document) if document else "")
    return [str(path) for path in sorted(folder.glob("*.json"))]


def printed(decision: str) -> dict[str, Any]:
    return {"model": BIKES, "run": "x", "verdict": forecaster_verdict(decision=decision).model_dump(mode="json")}


@pytest.mark.parametrize(("decision", "code"), [("pass", 0), ("reject", 3)])
def test_the_command_prints_the_text_and_ends_with_3_where_checks_failed(
    workspace: Path, decision: str, code: int
) -> None:
    done = run_ostinato(workspace, "comment", *results(workspace / "results", bikes=printed(decision)))
    assert done.code == code
    assert done.out.startswith(MARKER)
    assert ("checks failed: demand-forecaster" in done.err) == (decision == "reject")


def test_the_command_ends_red_after_a_run_without_a_verdict_and_comments_all_the_same(
    workspace: Path, forge: ForgeServer
) -> None:
    files = results(workspace / "results", bikes=printed("pass"), talk=None)
    options = ("--pull-request", address(forge), "--commit", COMMIT, "--details", LOG)
    done = run_ostinato(workspace, "comment", *files, *options, OSTINATO_FORGE_TOKEN=TOKEN)
    assert (done.code, done.out) == (1, "wrote the comment\n")
    assert "no verdict about talk" in done.err
    assert len(written(forge)) == 1 and states(forge)[-1].startswith("fail")


def test_the_command_refuses_what_is_no_result(workspace: Path) -> None:
    (workspace / "other.json").write_text('{"model": "x", "verdict": {"decision": "pass"}}')
    done = run_ostinato(workspace, "comment", "other.json")
    assert done.code == 2 and "other.json is not what `ostinato run MODEL --until evaluate --json` prints" in done.err
    assert run_ostinato(workspace, "comment", "absent.json").code == 2
    assert "--commit goes with --pull-request" in run_ostinato(workspace, "comment", "--commit", COMMIT).err
