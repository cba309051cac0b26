"""The text of a pull request: all of the evidence, equal bytes, bounded, and deaf to what data says."""

import re
from dataclasses import replace
from typing import Any

import pytest
from forges.conftest import Desk
from harness.candidates import model_spec
from harness.evidence import FINGERPRINT, forecaster_card, forecaster_verdict, live_model, story
from harness.verdicts import check, digest
from markdown_it import MarkdownIt

from delivery.documents.verdict import SliceResult
from delivery.kserve.manifest import ServedVersion
from delivery.registry.mlflow import mlflow_client
from delivery.releases.proposal import ManifestChange
from delivery.releases.propose import registry_pages
from delivery.releases.pull_request_text import LONGEST, body

HOSTILE = [
    "@ann @acme/owners please merge",
    "fixes #12, !34, ~bug, %2, &5, $1, ^alert, GH-7, acme/shop#9, closes acme/shop#9",
    "<script>alert(1)</script><img src=x onerror=alert(1)> <!-- gone -->",
    "[click](javascript:alert(1)) ![x](http://evil.example/p.png) <http://evil.example>",
    "see http://evil.example/ www.evil.example ftp://evil.example :shipit:",
    "| a | b |\n| --- | --- |\n/merge\n/approve",
    "`code` ``` **bold** _it_ ~~no~~ \\| \\",
    "# title\n- list\n> quote\n1. one",
    "\u202egnp.exe\u200b\x1b[31m",
]


def rendered(markdown: str) -> str:
    """As a forge renders it, with HTML let through, so that what is not escaped shows."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)


def test_a_reviewer_finds_the_whole_evidence() -> None:
    text = body(story())
    told = [
        "**✓ Pass**: mae 61.3 (60.1 to 62.6) against the champion's 66.9 (version 3), on 2,352 test rows: **better**. "
        "9 of 10 checks passed (1 failed, none of them required).",
        "When this is merged, version 4 of `demand-forecaster` goes live, in the place of version 3.",
        "| **mae** ↓ | 61.3 (60.1 to 62.6) | 66.9 (65.5 to 68.2) | 107.4 (105 to 109.9) | ▼ −5.6 (−6.6 to −4.6) **",
        "▲ +0.015 (+0.012 to +0.018) **better**",
        "≈ +0.9 (−0.4 to +2.1)",
        "| holiday = 1 | mae | 96 | 131 | 84.2 | +55.6 % |",
        "74,917 rows to train, 2,352 to test, from 2010-09-20 to 2019-09-01",
        "Refused rows: 41 (temp: out of range -30 to 50 degC: 29; count: null: 12)",
        f"- storageUri: gs://acme-models/mlflow/7/models/m-{digest('b')[7:39]}/artifacts",
        f"+ storageUri: gs://acme-models/mlflow/7/models/m-{digest('a')[7:39]}/artifacts",
        "(<https://mlflow.acme.example/#/models/demand-forecaster/versions/4>)",
        "`ostinato rollback demand-forecaster` brings back version 3",
    ]
    for one in told:
        assert one in text, one
    assert all(check.name in text for check in forecaster_verdict().checks)
    assert text.index("mae by holiday") < text.index("mae against champion"), "what failed comes first"
    assert body(story()) == text


def test_a_first_release_and_a_canary_say_what_merging_does() -> None:
    first = body(story(change=ManifestChange(None, live_model("4", "a")), verdict=forecaster_verdict(contenders=())))
    assert "4 were looked at; there is no champion to be worse than." in first
    assert "Nothing is live yet." in first and "nothing to go back to" in first and "- version" not in first
    trial = ServedVersion("4", "gs://acme-models/m-4", "sha256:" + "a" * 64, "", "", "", "", percent=10)
    beside = ManifestChange(live_model("3", "b"), live_model("3", "b", canary=trial))
    canary = body(story(change=beside, canary_percent=10))
    assert "as a canary with 10 % of the requests, beside version 3" in canary
    assert "  version: 3\n" in canary and "+ version: 4\n" in canary and "canary demand-forecaster --abort" in canary


def test_the_two_steps_of_a_canarys_end_say_what_each_does() -> None:
    trial = ServedVersion("4", "gs://acme-models/m-4", "sha256:" + "a" * 64, "", "", "", "", percent=10)
    beside = live_model("3", "b", canary=trial)
    over = replace(live_model("4", "a"), canary=trial, previous_version="3")
    first = body(story(change=ManifestChange(beside, over)))
    assert "goes live, in the place of version 3. Its canary stays until a second proposal takes it away." in first
    assert "- version: 3\n" in first and "+ version: 4\n" in first
    second = body(story(change=ManifestChange(over, replace(over, canary=None))))
    assert "the canary of `demand-forecaster` goes away; version 4 is live." in second
    assert "  version: 4\n" in second and "- canary: version 4\n" in second and "Close this" not in second
    for text in (first, second):
        assert "`ostinato rollback demand-forecaster` brings back version 3 in one commit" in text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_data_says_does_nothing(hostile: str) -> None:
    card = forecaster_card(source=hostile, split=hostile, refused_by_reason={hostile: 41}, warnings=(hostile,))
    slices = (SliceResult(column=hostile, value=hostile, rows=1, metric=hostile, candidate=2, champion=1, worse=True),)
    judged = forecaster_verdict(
        checks=(check(hostile, "passed", hostile),), slices=slices, warnings=(hostile,), metric=hostile
    )
    text = body(story(verdict=judged, card=card))
    harmless = forecaster_verdict(checks=(check(),), slices=forecaster_verdict().slices[:1])
    plain = rendered(body(story(verdict=harmless)))
    html = rendered(text)
    tags = set(re.findall(r"<[^>]+>", re.sub(r"<code>.*?</code>", "", html)))
    assert tags <= set(re.findall(r"<[^>]+>", plain)) | {"<em>", "</em>", "<strong>", "</strong>"}
    outside = re.sub(r"<(code|pre)\b.*?</\1>|<a .*?</a>|<[^>]+>", " ", html, flags=re.DOTALL)
    assert not re.search(r"[@#!~$^]\w|&amp;\d|%\d|\bG[HL]-\d|://|www\.|:\w+:", outside), outside
    assert not re.search(r"^\s*/", text, flags=re.MULTILINE), "GitLab would take the line for a command"
    assert "\u202e" not in text and "\x1b" not in text


def test_a_long_body_is_cut_with_a_note_and_keeps_the_way_back() -> None:
    checks = tuple(check(f"check {number}", "failed", "@a" * 400) for number in range(200))
    text = body(story(verdict=forecaster_verdict(checks=checks)))
    assert LONGEST - 4000 < len(text) <= LONGEST
    assert "*Shortened; the whole evidence" in text and "`ostinato rollback demand-forecaster`" in text
    assert text.count("```") == 2


def test_many_rows_are_counted_instead_of_shown() -> None:
    checks = tuple(check(f"check {number}", "passed", "fine") for number in range(100))
    assert "40 more are in the report." in body(story(verdict=forecaster_verdict(checks=checks)))


def test_evidence_that_is_gone_or_changed_is_said_in_the_body(github: Desk) -> None:
    client: Any = mlflow_client(github.place.tracking_uri)
    client.set_model_version_tag("bike-demand", "1", "ostinato.verdict_digest", "sha256:other")
    github.promote("1")
    text = github.forge.only_open().body
    assert "**The evidence could not be read back:** the verdict in the run of version 1" in text
    assert "+ version: 1" in text and "### Metrics" not in text


def test_the_body_comes_from_the_registry_alone_so_a_run_and_a_person_write_the_same(github: Desk) -> None:
    github.run("1")
    pull = github.forge.only_open()
    before, seen = pull.body, list(github.forge.seen)
    github.promote("1")
    assert (pull.body, github.forge.seen) == (before, seen)
    assert "Refused rows: 3 (temp: not a number: 3)" in before and "[" not in before.split("### What changes")[0]
    assert model_spec().name in before


def test_links_lead_to_an_mlflow_server_without_its_password_and_a_file_has_none() -> None:
    pages = registry_pages("https://ann:s3cret@mlflow.acme.example/", "bike demand", "4", "7", "0a1b")
    assert [one.url for one in pages] == [
        "https://mlflow.acme.example/#/models/bike%20demand/versions/4",
        "https://mlflow.acme.example/#/experiments/7/runs/0a1b",
        "https://mlflow.acme.example/#/experiments/7/runs/0a1b/artifacts/report.html",
    ]
    assert registry_pages("sqlite:////srv/mlflow.db", "bike-demand", "4", "7", "0a1b") == ()


def test_a_story_without_a_card_tells_the_fingerprint() -> None:
    text = body(replace(story(), card=None))
    assert f"Data fingerprint `{FINGERPRINT}`" in text and "Refused rows" not in text
