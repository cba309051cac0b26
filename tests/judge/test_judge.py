"""What the verdict may rely on when a language model has compared two answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from harness.judge_servers import MODEL, Asked, JudgeServer, always, says, sensible

from components.evaluate.language.judge import judge_answers
from components.evaluate.language.judge.prompt import Pair
from delivery.documents.verdict import JudgeReport
from training.spec import JudgeSpec

REFERENCE = "preprocess train evaluate register deploy"


def ask(server: JudgeServer | str, questions: Sequence[Pair], cache: Path, **given: Any) -> JudgeReport:
    """The report on questions; ``given`` are fields of the spec, or parameters of the call."""
    url = server if isinstance(server, str) else server.url
    own = {name: given.pop(name) for name in ("folder", "min_agreement", "spent") if name in given}
    spec = JudgeSpec.model_validate({"url": url, "model": MODEL, "rubric": "Names the steps.", **given})
    call = {"folder": cache, "min_agreement": None, **own}
    return judge_answers(spec, "champion", questions, cache / "answers", **call)


def better(number: int = 0) -> Pair:
    return Pair(f"Which are the steps, {number}?", "preprocess train evaluate", "train and hope", REFERENCE)


def worse(number: int = 0) -> Pair:
    one = better(number)
    return Pair("Once more: " + one.question, one.second, one.first, one.reference)


def equal(number: int = 0) -> Pair:
    return Pair(f"And what comes first, {number}?", "It is preprocess", "preprocess it is", REFERENCE)


def test_a_judge_counts_wins_losses_and_ties_whatever_the_place(tmp_path: Path) -> None:
    questions = [*map(better, range(5)), *map(worse, range(2)), *map(equal, range(3))]
    with JudgeServer(sensible) as server:
        report = ask(server, questions, tmp_path)
    assert (report.wins, report.losses, report.ties, report.swayed, report.unanswered) == (5, 2, 3, 0, 0)
    assert (report.questions, report.calls, report.cached, report.failure) == (10, 20, 0, "")
    assert report.win_rate == 0.65
    orders = {(one.texts["first"], one.texts["second"]) for one in server.asked}
    assert ("train and hope", "preprocess train evaluate") in orders
    assert ("preprocess train evaluate", "train and hope") in orders


def test_a_judge_is_asked_for_a_greedy_short_reply_in_json_by_its_name(tmp_path: Path) -> None:
    with JudgeServer(sensible) as server:
        ask(server, [better()], tmp_path)
    for one in server.asked:
        assert one.path == "/v1/chat/completions"
        assert one.body["model"] == MODEL
        assert one.body["temperature"] == 0
        assert one.body["response_format"] == {"type": "json_object"}
        assert 0 < one.body["max_tokens"] <= 1024
        assert "Names the steps." in one.body["messages"][0]["content"]


@pytest.mark.parametrize("place", ["first", "second"])
def test_a_judge_that_goes_by_the_place_gives_ties_and_is_not_believed(tmp_path: Path, place: str) -> None:
    with JudgeServer(always(says(place))) as server:
        report = ask(server, [*map(better, range(4)), worse()], tmp_path)
    assert (report.wins, report.losses, report.ties, report.swayed) == (0, 0, 5, 5)
    assert "changed with the order of the answers in 5 of 5" in report.failure


def test_a_judge_that_is_sometimes_swayed_is_believed_and_those_are_ties(tmp_path: Path) -> None:
    def swayed_once(asked: Asked) -> str:
        return says("first") if asked.texts["question"].endswith(" 0?") else sensible(asked)

    with JudgeServer(swayed_once) as server:
        report = ask(server, [*map(better, range(3))], tmp_path)
    assert (report.wins, report.ties, report.swayed, report.failure) == (2, 1, 1, "")


def test_a_tie_in_one_order_alone_is_a_tie_that_was_swayed(tmp_path: Path) -> None:
    def hesitant(asked: Asked) -> str:
        return sensible(asked) if asked.texts["first"].startswith("preprocess") else says("tie")

    with JudgeServer(hesitant) as server:
        report = ask(server, [better()], tmp_path)
    assert (report.wins, report.ties, report.swayed) == (0, 1, 1)


def test_equal_answers_are_a_tie_that_costs_nothing(tmp_path: Path) -> None:
    same = Pair("Which are the steps?", "All five.", "All five.", REFERENCE)
    report = ask("http://127.0.0.1:9/v1", [same], tmp_path)
    assert (report.ties, report.swayed, report.calls, report.failure) == (1, 0, 0, "")


def test_no_question_is_a_failure(tmp_path: Path) -> None:
    assert "no question" in ask("http://127.0.0.1:9/v1", [], tmp_path).failure


def test_an_answer_that_was_given_is_not_asked_for_again_even_when_the_judge_is_gone_or_moved(tmp_path: Path) -> None:
    questions = [*map(better, range(3)), worse()]
    with JudgeServer(sensible) as server:
        before = ask(server, questions, tmp_path)
    after = ask("http://127.0.0.1:9/v1", questions, tmp_path)
    assert (after.calls, after.cached, after.failure) == (0, 8, "")
    assert (after.wins, after.losses) == (before.wins, before.losses) == (3, 1)


@pytest.mark.parametrize(
    "changed", [{"rubric": "Is short."}, {"model": "another-judge"}, {"first": "train"}, {"reference": "none"}]
)
def test_another_rubric_judge_or_text_is_asked_about_anew(tmp_path: Path, changed: dict[str, str]) -> None:
    with JudgeServer(sensible) as server:
        ask(server, [better()], tmp_path)
        texts = {name: changed.pop(name) for name in ("first", "reference") if name in changed}
        question = Pair(**{**vars(better()), **texts})
        assert (ask(server, [question], tmp_path, **changed).cached, len(server.asked)) == (0, 4)


def test_the_same_question_twice_is_asked_once_and_counts_twice(tmp_path: Path) -> None:
    with JudgeServer(sensible) as server:
        report = ask(server, [better(), better()], tmp_path)
    assert (report.wins, report.calls) == (2, 2)


def test_a_kept_answer_that_was_damaged_is_asked_for_again(tmp_path: Path) -> None:
    with JudgeServer(sensible) as server:
        ask(server, [better()], tmp_path)
        damaged, whole = sorted((tmp_path / "answers").iterdir())
        damaged.write_text('{"better": "fir')
        report = ask(server, [better()], tmp_path)
    assert (report.wins, report.calls, report.cached) == (1, 1, 1)
    assert '"reason":"It is."' in damaged.read_text() and '"better"' in whole.read_text()


def test_two_steps_may_keep_answers_in_one_folder_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    questions = [*map(better, range(12))]
    with JudgeServer(sensible) as server, ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: ask(server, questions, tmp_path), range(4)))
    assert [(report.wins, report.failure) for report in reports] == [(12, "")] * 4
    kept = list((tmp_path / "answers").iterdir())
    assert len(kept) == 24 and all(path.suffix == ".json" for path in kept)


def test_a_budget_that_is_used_up_is_a_failure_that_says_how_to_raise_it_and_what_was_bought_is_kept(
    tmp_path: Path,
) -> None:
    questions = [*map(better, range(10))]
    with JudgeServer(sensible) as server:
        short = ask(server, questions, tmp_path, calls=6)
        assert (short.calls, short.wins, short.unanswered, len(server.asked)) == (6, 3, 7, 6)
        assert "budget of 6 calls was used up when 3 of 10 questions were judged" in short.failure
        assert "set quality.judge.calls to 20 or more" in short.failure
        enough = ask(server, questions, tmp_path, calls=14)
    assert (enough.calls, enough.cached, enough.wins, enough.failure) == (14, 6, 10, "")


def test_calls_that_the_verdict_has_made_already_count(tmp_path: Path) -> None:
    with JudgeServer(sensible) as server:
        report = ask(server, [*map(better, range(5))], tmp_path, calls=12, spent=8)
    assert (report.calls, report.wins) == (4, 2)
    assert "set quality.judge.calls to 18 or more" in report.failure


def test_a_budget_that_is_just_enough_is_enough(tmp_path: Path) -> None:
    with JudgeServer(sensible) as server:
        report = ask(server, [*map(better, range(5))], tmp_path, calls=10)
    assert (report.calls, report.failure) == (10, "")


def test_at_most_eight_calls_are_made_at_once(tmp_path: Path) -> None:
    import threading

    now, most, counting = 0, 0, threading.Lock()
    full = threading.Event()

    def slow(asked: Asked) -> str:
        nonlocal now, most
        with counting:
            now += 1
            most = max(most, now)
        if most == 8:
            full.set()
        if asked.number > 1:
            assert full.wait(10)
        with counting:
            now -= 1
        return sensible(asked)

    with JudgeServer(slow) as server:
        report = ask(server, [*map(better, range(20))], tmp_path)
    assert (report.wins, most) == (20, 8)


def test_a_step_that_is_killed_while_it_asks_leaves_only_whole_answers_and_the_next_goes_on(tmp_path: Path) -> None:
    import os
    import signal
    import subprocess
    import sys

    program = f"""
from pathlib import Path
from judge.test_judge import ask, better
import sys
ask(sys.argv[1], [*map(better, range(10))], Path({str(tmp_path)!r}))
"""
    killed: list[int] = []

    def kills(asked: Asked) -> str:
        if asked.number == 9:
            os.kill(process.pid, signal.SIGKILL)
            killed.append(process.wait())
        return sensible(asked)

    with JudgeServer(kills) as server:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen([sys.executable, "-c", program, server.url], env=environment)
        process.wait(60)
        assert killed == [-signal.SIGKILL]
        report = ask(server, [*map(better, range(10))], tmp_path)
    assert (report.wins, report.failure) == (10, "")
    assert report.cached >= 1 and report.cached + report.calls == 20
