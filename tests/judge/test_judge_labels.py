"""Whether the judge can be believed is measured on pairs that people have compared."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.command_line import ROOT
from harness.judge_servers import Asked, Hangs, JudgeServer, always, says, sensible
from judge.test_judge import REFERENCE, ask, better

from components.evaluate.language.judge import read_labels
from pipelines.scaffold.validate import check_judge
from training.errors import InputError
from training.spec import parse_spec

NOWHERE = "http://127.0.0.1:9/v1"
GOOD = {"question": "Which are the steps?", "first": "preprocess train", "second": "deploy", "better": "first"}
GOOD |= {"by": "two maintainers", "reference": REFERENCE}


def labels(folder: Path, *changes: dict[str, Any]) -> Path:
    """A file with one label a line, each GOOD with its own question and these changes."""
    lines = [json.dumps({**GOOD, "question": f"Which are the steps, {i}?", **one}) for i, one in enumerate(changes)]
    (folder / "labels.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_agreement_is_the_share_of_pairs_where_the_judge_says_what_people_said(tmp_path: Path) -> None:
    labels(tmp_path, {}, {}, {"better": "second", "by": "an owner"}, {"better": "tie"})
    with JudgeServer(sensible) as server:
        report = ask(server, [better()], tmp_path, labels="labels.jsonl")
    assert (report.agreement, report.labelled, report.labelled_by) == (0.5, 4, "two maintainers, an owner")
    assert (report.wins, report.questions, report.calls, report.failure) == (1, 1, 10, "")


def test_a_judge_that_goes_by_the_place_agrees_with_ties_alone(tmp_path: Path) -> None:
    labels(tmp_path, {}, {"better": "second"}, {"better": "tie"}, {"better": "tie"})
    with JudgeServer(always(says("first"))) as server:
        report = ask(server, [better()], tmp_path, labels="labels.jsonl")
    assert report.agreement == 0.5


def test_a_judge_below_the_agreement_is_not_believed_and_asked_nothing_more(tmp_path: Path) -> None:
    labels(tmp_path, {}, {"better": "second"}, {"better": "second"})
    with JudgeServer(sensible) as server:
        report = ask(server, [better()], tmp_path, labels="labels.jsonl", min_agreement=0.6)
    assert "agrees with people on 1 of 3 labelled pairs" in report.failure and "min_agreement of 0.6" in report.failure
    assert (report.calls, report.unanswered, report.wins) == (6, 1, 0)


def test_a_judge_at_the_agreement_is_believed(tmp_path: Path) -> None:
    labels(tmp_path, {}, {}, {"better": "second"})
    with JudgeServer(sensible) as server:
        report = ask(server, [better()], tmp_path, labels="labels.jsonl", min_agreement=2 / 3)
    assert (report.agreement, report.wins, report.failure) == (2 / 3, 1, "")


def test_labelled_pairs_come_first_are_kept_and_count_in_the_budget(tmp_path: Path) -> None:
    labels(tmp_path, {}, {})
    with JudgeServer(sensible) as server:
        short = ask(server, [better(), better(1)], tmp_path, labels="labels.jsonl", calls=6)
        assert all("Which are the steps, " in one.texts["question"] for one in server.asked[:4])
        assert (short.agreement, short.calls, short.wins, short.unanswered) == (1, 6, 1, 1)
        assert "set quality.judge.calls to 8 or more" in short.failure
        again = ask(server, [better(), better(1)], tmp_path, labels="labels.jsonl", calls=6)
    assert (again.cached, again.calls, again.failure) == (6, 2, "")


def test_a_budget_that_does_not_reach_through_the_labels_leaves_the_agreement_open(tmp_path: Path) -> None:
    labels(tmp_path, {}, {}, {})
    with JudgeServer(sensible) as server:
        report = ask(server, [better()], tmp_path, labels="labels.jsonl", calls=4, min_agreement=0.5)
    assert (report.agreement, report.labelled, report.calls) == (None, 3, 4)
    assert "set quality.judge.calls to 8 or more" in report.failure


def test_a_judge_that_is_down_has_no_agreement_and_that_is_what_is_said(tmp_path: Path) -> None:
    labels(tmp_path, *[{}] * 5)
    with JudgeServer(always(Hangs())) as server:
        report = ask(server, [better()], tmp_path, labels="labels.jsonl", min_agreement=0.5, timeout_s=0.3)
    assert report.agreement is None and "no reply within 0.3 s" in report.failure


def test_a_labelled_pair_without_a_usable_reply_does_not_agree(tmp_path: Path) -> None:
    labels(tmp_path, {}, {})

    def shy(asked: Asked) -> str:
        return "Hm." if asked.texts["question"].endswith("0?") else sensible(asked)

    with JudgeServer(shy) as server:
        report = ask(server, [better(7)], tmp_path, labels="labels.jsonl", min_agreement=0.6)
    assert report.agreement == 0.5 and "1 of 2 labelled pairs" in report.failure


def test_a_label_without_a_reference_is_judged_without_one(tmp_path: Path) -> None:
    labels(tmp_path, {"reference": ""})
    with JudgeServer(lambda asked: says("first" if "preprocess" in asked.texts["first"] else "second")) as server:
        report = ask(server, [better()], tmp_path, labels="labels.jsonl")
    assert report.agreement == 1
    assert "reference" not in server.asked[0].texts
    assert "named reference" not in server.asked[0].body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"better": "left"}, "line 2: better: Input should be 'first', 'second' or 'tie' (got 'left')"),
        ({"by": ""}, "line 2: by: String should have at least 1 character (got '')"),
        ({"question": ""}, "line 2: question: String should have at least 1 character"),
        ({"first": 3}, "line 2: first: Input should be a valid string (got 3)"),
        ({"sure": True}, "line 2: sure: Extra inputs are not permitted"),
        ({"second": "preprocess train"}, "line 2: first and second are the same text"),
    ],
)
def test_a_wrong_label_is_named_with_its_line_and_field_before_anything_is_asked(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    labels(tmp_path, {}, change)
    with JudgeServer(sensible) as server:
        with pytest.raises(InputError) as caught:
            ask(server, [better()], tmp_path, labels="labels.jsonl")
        assert server.asked == []
    assert said in str(caught.value) and "labels.jsonl" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "has no labelled pair"),
        (b"\n\n", "has no labelled pair"),
        (b"{}\n", "line 1: question: Field required"),
        (b"\n[]\n", "line 2: "),
        (b'{"question": \n', "line 1: Invalid JSON"),
        (b'{"question": "\xff"}\n', "line 1: Invalid JSON"),
        (json.dumps(GOOD).encode() * 2, "line 1: Invalid JSON: trailing characters"),
        (b"\n".join(json.dumps({**GOOD, "first": a, "second": b}).encode() for a, b in ("xy", "yx")), "is there twice"),
    ],
)
def test_a_file_that_holds_no_labels_is_refused_in_words(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "labels.jsonl").write_bytes(text)
    with pytest.raises(InputError, match=r"labels\.jsonl") as caught:
        ask(NOWHERE, [better()], tmp_path, labels="labels.jsonl")
    assert said in str(caught.value)


@pytest.mark.parametrize(("name", "said"), [("lables.jsonl", "can't be read"), ("../labels.jsonl", "is not in")])
def test_labels_that_are_not_in_the_folder_are_refused(tmp_path: Path, name: str, said: str) -> None:
    labels(tmp_path, {})
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match=said):
        ask(NOWHERE, [better()], tmp_path, labels=name, folder=tmp_path / "model")


def test_validate_reads_the_labels_before_anything_runs(tmp_path: Path) -> None:
    from pipelines.settings.settings import Settings, Workspace

    raw = yaml.safe_load((ROOT / "training" / "llm_qa" / "spec.yaml").read_text())
    raw["quality"]["judge"] = {"url": NOWHERE, "model": "a-judge", "rubric": "Right.", "labels": "labels.jsonl"}
    raw["quality"]["checks"].append({"kind": "judge", "min_agreement": 0.7})
    folder = tmp_path / "training" / "llm_qa"
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(yaml.safe_dump(raw))
    spec, workspace = parse_spec((folder / "spec.yaml").read_text(), "spec.yaml"), Workspace(tmp_path, Settings())  # pyright: ignore[reportCallIssue]
    labels(folder, {}, {})
    assert check_judge(workspace, spec) == ["labels.jsonl has 2 labelled pairs for the judge a-judge"]
    labels(folder, {"better": "left"})
    with pytest.raises(InputError, match="line 1: better"):
        check_judge(workspace, spec)


def test_the_pairs_that_come_with_the_demonstration_are_read() -> None:
    pairs = read_labels(ROOT / "training" / "llm_qa", "judge_labels.jsonl")
    assert len(pairs) >= 20
    assert {pair.better for pair in pairs} == {"first", "second", "tie"}
