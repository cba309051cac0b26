"""An application that calls the endpoint never changes when the model version does, and none of its calls fails."""

import threading
from pathlib import Path
from typing import Any

from harness.following import WAIT_S, following, plain_rows, wait_until
from harness.two_versions import MODEL, Shop

from app.client import DemandForecast

CALLS = 20_000
"""Most calls of one application."""


class Application:
    """A caller in a thread, on a kept connection or on a fresh one for each call, that asks until it is told to end."""

    def __init__(self, url: str, rows: list[dict[str, Any]], fresh: bool) -> None:
        self._url = url
        self._rows = rows
        self._fresh = fresh
        self._end = threading.Event()
        self.answers: list[list[float]] = []
        self.failed: list[Exception] = []
        self.retried = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        endpoint = DemandForecast(self._url, MODEL)
        while not self._end.is_set() and len(self.answers) + len(self.failed) < CALLS:
            try:
                self.answers.append(endpoint.forecast(self._rows))
            except Exception as error:  # whatever it is, it is a failed call
                self.failed.append(error)
            if self._fresh:
                self.retried += endpoint.retried
                endpoint.close()
                endpoint = DemandForecast(self._url, MODEL)
            self._end.wait(0.002)
        self.retried += endpoint.retried

    def stop(self) -> None:
        self._end.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


def test_no_call_of_a_running_application_fails_while_versions_are_promoted_and_rolled_back(
    shop: Shop, tmp_path: Path
) -> None:
    expected = {version: answer.tolist() for version, answer in shop.answers.items()}
    with following(shop, tmp_path / "log") as served:
        kept, fresh = [[Application(served.url, plain_rows(shop), anew) for _ in range(2)] for anew in (False, True)]
        applications = kept + fresh

        def all_answer(version: str) -> bool:
            return all(one.answers and one.answers[-1] == expected[version] for one in applications)

        wait_until(lambda: all_answer("1"), "answers of version 1", served.process)
        assert shop.ostinato("promote", MODEL, "--version", "2").returncode == 0
        served.wait_until_said("version 2 answers now")
        only_two = [len(one.answers) + 1 for one in applications]  # a call may be under way
        wait_until(lambda: all_answer("2"), "answers of version 2", served.process)
        until = [len(one.answers) for one in applications]
        assert shop.ostinato("rollback", MODEL).returncode == 0
        served.wait_until_said("version 1 answers now")
        wait_until(lambda: all_answer("1"), "answers of version 1 again", served.process)
        for one in applications:
            one.stop()

    assert [error for one in applications for error in one.failed] == []
    for one, first, last in zip(applications, only_two, until, strict=True):
        versions = [next(name for name, answer in expected.items() if answer == given) for given in one.answers]
        assert set(versions) == {"1", "2"}
        assert set(versions[first:last]) <= {"2"}, "after the switch the new version answers"
    assert sum(one.retried for one in fresh) == 0
    assert sum(one.retried for one in kept) == 0
    print(f"{sum(len(one.answers) for one in applications)} calls, none failed and none sent again")
