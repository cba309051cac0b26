"""A judge that is down, slow, or of no use is said in the report, within a bound of time, and never raised."""

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from harness.judge_servers import Answer, Asked, Hangs, HangsUp, JudgeServer, Status, always, refused, says, sensible
from judge.test_judge import ask, better
from openai.types.chat import ChatCompletionMessage

from training.errors import InputError

KEY = "sk-very-secret-0123456789"
QUESTIONS = [*map(better, range(8))]


def free_url() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}/v1"


def test_nobody_listens(tmp_path: Path) -> None:
    report = ask(free_url(), QUESTIONS, tmp_path, timeout_s=5)
    assert "no usable reply 5 times in a row" in report.failure
    assert "Connection" in report.failure and "0 of 8 questions judged" in report.failure
    assert (report.unanswered, report.win_rate) == (8, None)


def test_a_judge_that_hangs_costs_the_time_of_a_few_calls_and_no_more(tmp_path: Path) -> None:
    with JudgeServer(always(Hangs())) as server:
        began = time.monotonic()
        report = ask(server, QUESTIONS, tmp_path, timeout_s=0.4)
        took = time.monotonic() - began
    assert "no reply within 0.4 s" in report.failure
    assert report.calls <= 13
    assert took < 5


def test_a_judge_that_dribbles_is_held_to_the_time_of_a_call(tmp_path: Path) -> None:
    """The bound is for the whole reply and not for each piece of it."""
    import socketserver
    import threading

    class Dribbles(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
            while not over.wait(0.05):
                self.wfile.write(b" ")

    over = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dribbles) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # the client hangs up on it
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        began = time.monotonic()
        report = ask(f"http://127.0.0.1:{server.server_address[1]}/v1", QUESTIONS, tmp_path, timeout_s=0.5)
        took = time.monotonic() - began
        over.set()
        server.shutdown()
    assert "no reply within 0.5 s" in report.failure
    assert took < 5


def test_a_judge_that_dies_in_the_middle_is_a_failure_and_what_it_said_is_kept(tmp_path: Path) -> None:
    with JudgeServer(lambda asked: sensible(asked) if asked.number <= 6 else HangsUp()) as server:
        report = ask(server, QUESTIONS, tmp_path)
    assert "no usable reply 5 times in a row" in report.failure
    assert report.unanswered >= 5
    with JudgeServer(sensible) as server:
        again = ask(server, QUESTIONS, tmp_path)
    assert (again.cached, again.calls, again.wins, again.failure) == (6, 10, 8, "")


@pytest.mark.parametrize("busy", [Status(429), Status(500), Status(503), HangsUp()])
def test_a_server_that_is_busy_for_a_moment_is_asked_again_within_the_same_call(tmp_path: Path, busy: Answer) -> None:
    with JudgeServer(lambda asked: busy if asked.number in (1, 3) else sensible(asked)) as server:
        report = ask(server, [*map(better, range(4))], tmp_path)
    assert (report.wins, report.calls, report.failure) == (4, 8, "")
    assert len(server.asked) == 10


@pytest.mark.parametrize("status", [429, 500])
def test_a_server_that_stays_busy_is_not_asked_for_ever(tmp_path: Path, status: int) -> None:
    with JudgeServer(always(refused(status, "come back later"))) as server:
        report = ask(server, QUESTIONS, tmp_path)
    assert f"the server answered {status}: 'come back later'" in report.failure
    assert len(server.asked) <= 13 * 3


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "refuses the key in MY_KEY with 401"),
        (403, "refuses the key in MY_KEY with 403"),
        (404, "no chat completion for model 'a-judge'"),
    ],
)
def test_a_wrong_key_or_model_fails_at_the_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with JudgeServer(always(refused(status, f"Incorrect API key {KEY}"))) as server:
        report = ask(server, QUESTIONS, tmp_path, api_key_env="MY_KEY")
    assert len(server.asked) == report.calls == 1
    assert said in report.failure and "Incorrect API key ***" in report.failure


def test_the_key_is_sent_and_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")

    def tells_all(asked: Asked) -> Answer:
        if asked.number == 1:
            return refused(500, asked.authorization)
        return says("first", asked.authorization) if asked.number < 4 else asked.authorization

    with JudgeServer(tells_all) as server:
        report = ask(server, QUESTIONS, tmp_path, api_key_env="MY_KEY")
    assert {one.authorization for one in server.asked} == {f"Bearer {KEY}"}
    kept = "".join(path.read_text() for path in (tmp_path / "answers").iterdir())
    assert report.failure and kept
    out = capfd.readouterr()
    for text in (report.model_dump_json(), kept, out.out, out.err, caplog.text):
        assert KEY not in text


def test_without_its_own_key_the_judge_gets_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    monkeypatch.delenv("MY_KEY", raising=False)
    with JudgeServer(sensible) as server:
        ask(server, [better()], tmp_path, api_key_env="MY_KEY")
    assert {one.authorization for one in server.asked} == {"Bearer none"}


def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", f"{KEY}\nHost: elsewhere")
    with pytest.raises(InputError, match="MY_KEY holds characters that no key has") as caught:
        ask("http://127.0.0.1:9/v1", QUESTIONS, tmp_path, api_key_env="MY_KEY")
    assert KEY not in str(caught.value)


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"quality\.judge\.url"):
        ask("http://nowhere:port/v1", QUESTIONS, tmp_path)


def test_an_answer_store_that_cannot_be_written_is_refused_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("a file")
    with pytest.raises(InputError, match="OSTINATO_JUDGE_CACHE"):
        ask("http://127.0.0.1:9/v1", QUESTIONS, tmp_path)


@pytest.mark.parametrize(
    "nonsense",
    [
        "I like the first one better.",
        "",
        "   ",
        '{"better": "first"}',
        '{"better": "FIRST", "reason": "x"}',
        '{"better": "candidate", "reason": "x"}',
        '{"better": ["first"], "reason": "x"}',
        '{"better": "first", "reason": 3}',
        '{"better": "first", "reason": "x", "better": "second"}',
        '{"better": "first", "reason": "x", "sure": true}',
        '{"better": "first", "reason": "x"',
        '{"better": "first", "reason": "x"} {"better": "first", "reason": "x"}',
        'Sure! {"better": "first", "reason": "x"}',
        '```json\n{"better": "first", "reason": "x"}\n```\nHope this helps.',
        '[{"better": "first", "reason": "x"}]',
        '"first"',
        '{"better": "first", "reason": "\\ud800"}',
        "[" * 100_000,
        ChatCompletionMessage(role="assistant", content=None, refusal="I'd rather not."),
        ChatCompletionMessage(role="assistant", content=says("first"), refusal="I'd rather not."),
    ],
)
def test_a_reply_that_is_no_verdict_is_tried_once_more_and_then_unanswered(tmp_path: Path, nonsense: Answer) -> None:
    with JudgeServer(always(nonsense)) as server:
        report = ask(server, [better()], tmp_path)
    assert (report.unanswered, report.calls, report.wins + report.losses + report.ties) == (1, 4, 0)
    assert "1 of 1 questions have no usable reply" in report.failure
    assert list((tmp_path / "answers").iterdir()) == []
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "body",
    ["<html>Sign in</html>", [], 3, None, {}, {"choices": []}, {"choices": "none"}, {"choices": [None]}]
    + [{"choices": [{"message": message}]} for message in (None, "first", {}, {"content": {"better": "first"}})],
)
def test_a_body_that_is_no_completion_is_no_verdict(tmp_path: Path, body: Any) -> None:
    with JudgeServer(always(Status(200, body))) as server:
        report = ask(server, [better()], tmp_path)
    assert report.unanswered == 1 and "it replied with" in report.failure


def test_a_body_that_is_no_json_though_it_says_so_is_no_verdict(tmp_path: Path) -> None:
    with JudgeServer(always(Status(200, "{", kind="application/json"))) as server:
        report = ask(server, [better()], tmp_path)
    assert report.unanswered == 1 and "a body that is not JSON" in report.failure


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "\n\n {} \n", "```json\n\n{}\n\n```\n"])
def test_a_code_fence_and_white_space_around_the_verdict_are_passed_over(tmp_path: Path, fence: str) -> None:
    with JudgeServer(lambda asked: fence.replace("{}", sensible(asked))) as server:
        report = ask(server, [better()], tmp_path)
    assert (report.wins, report.calls, report.failure) == (1, 2, "")


def test_nonsense_once_is_mended_by_the_second_try_which_says_the_form_again(tmp_path: Path) -> None:
    def mends(asked: Asked) -> str:
        return sensible(asked) if "JSON object alone" in asked.body["messages"][-1]["content"] else "The first."

    with JudgeServer(mends) as server:
        report = ask(server, [better()], tmp_path)
        assert (report.wins, report.calls, report.failure) == (1, 4, "")
        assert ask(server, [better()], tmp_path).cached == 2


def test_a_judge_that_only_talks_nonsense_is_given_up_early(tmp_path: Path) -> None:
    with JudgeServer(always("Hm.")) as server:
        report = ask(server, [*map(better, range(100))], tmp_path)
    assert "no usable reply 5 times in a row; the last time it replied 'Hm.'" in report.failure
    assert report.calls < 40


@pytest.mark.parametrize(("silent", "believed"), [(1, True), (2, False)])
def test_one_question_in_ten_may_stay_unanswered_and_no_more(tmp_path: Path, silent: int, believed: bool) -> None:
    def shy(asked: Asked) -> str:
        number = int(asked.texts["question"].split()[-1].strip("?"))
        return "No comment." if number < silent and asked.texts["first"].startswith("train") else sensible(asked)

    with JudgeServer(shy) as server:
        report = ask(server, [*map(better, range(10))], tmp_path)
    assert (report.unanswered, report.wins, report.failure == "") == (silent, 10 - silent, believed)


def test_replies_that_are_missing_here_and_there_are_no_sign_of_a_judge_that_is_down(tmp_path: Path) -> None:
    def shy(asked: Asked) -> str:
        return "No comment." if "0?" in asked.texts["question"] and asked.texts["first"][0] == "t" else sensible(asked)

    with JudgeServer(shy) as server:
        report = ask(server, [*map(better, range(1, 71))], tmp_path)
    assert (report.unanswered, report.wins, report.failure) == (7, 63, "")


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_takes_no_response_format_is_asked_without_it(tmp_path: Path, status: int) -> None:
    def plain(asked: Asked) -> Answer:
        return refused(status, "response_format?") if "response_format" in asked.body else sensible(asked)

    with JudgeServer(plain) as server:
        report = ask(server, [*map(better, range(4))], tmp_path)
    assert (report.wins, report.failure, report.calls) == (4, "", 9)


def test_a_server_that_refuses_a_text_is_said_in_its_own_words(tmp_path: Path) -> None:
    def narrow(asked: Asked) -> Answer:
        long = asked.texts["question"].endswith(" 0?")
        return refused(400, "maximum context length is 512 tokens") if long else sensible(asked)

    with JudgeServer(narrow) as server:
        report = ask(server, [*map(better, range(3))], tmp_path)
    assert (report.unanswered, report.wins) == (1, 2)
    assert "400: 'maximum context length is 512 tokens'" in report.failure
    assert "response_format" in server.asked[-1].body


def test_the_package_that_asks_is_named_where_it_is_missing(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; sys.modules['openai'] = None\n"
        "from pathlib import Path\n"
        "from components.evaluate.language.judge import judge_answers\n"
        "from training.spec import JudgeSpec\n"
        "spec = JudgeSpec(url='http://127.0.0.1:9', model='m', rubric='r')\n"
        f"judge_answers(spec, 'champion', [], Path({str(tmp_path)!r}), Path('.'), None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "InputError" in done.stderr and "ostinato[llm]" in done.stderr


def test_the_judge_is_cheap_to_import() -> None:
    import subprocess
    import sys

    program = "import components.evaluate.language.judge, json, sys; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"openai", "httpx2", "torch", "pandas", "mlflow"} & set(json.loads(done.stdout))
