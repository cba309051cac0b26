"""The application's client: what it asks again, what it never does, and what it says."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness.command_line import ROOT
from harness.following import plain_rows
from harness.odd_servers import Answer, forecasts, hangs_up, is_cut_off, odd_server, says
from harness.servers import free_port
from harness.two_versions import MODEL, Shop

from app.client import DemandForecast
from app.errors import EndpointUnavailable, RequestRefused
from app.kserve_client import forecast_grpc, forecast_rest
from delivery.serving.process.process import RunningServer

ROW = {"price": 10.0}


def client(url: str, **options: Any) -> DemandForecast:
    return DemandForecast(url, MODEL, backoff_s=0.001, **options)


def test_the_forecasts_are_the_models(endpoint: RunningServer, registered: Shop) -> None:
    with client(endpoint.url) as asked:
        assert asked.forecast(plain_rows(registered)) == registered.answers["1"].tolist()
        assert asked.forecast([]) == []
        assert asked.retried == 0


def test_the_kserve_packages_clients_get_the_same(endpoint: RunningServer, registered: Shop) -> None:
    with client(endpoint.url) as asked:
        columns = {
            name: (datatype, [row[name] for row in plain_rows(registered)])
            for name, datatype in asked.columns().items()
        }
    columns["rain"] = ("FP64", [float("nan") if one is None else one for one in columns["rain"][1]])
    expected = registered.answers["1"].tolist()
    assert asyncio.run(forecast_grpc(endpoint.grpc, MODEL, columns)) == expected
    assert asyncio.run(forecast_rest(endpoint.url, MODEL, columns)) == expected


@pytest.mark.parametrize(
    "trouble",
    [hangs_up, is_cut_off, says(502, "bad gateway"), says(503, {"error": "not ready"}), says(504, "")],
    ids=["hangs up", "is cut off", "502", "503", "504"],
)
def test_what_passes_is_asked_again_a_bounded_number_of_times(trouble: Answer) -> None:
    with odd_server(trouble, trouble, forecasts(7.5)) as server, client(server.url) as asked:
        assert asked.forecast([ROW]) == [7.5]
        assert asked.retried == 2
    with odd_server(trouble) as server, client(server.url, attempts=3) as asked:
        with pytest.raises(EndpointUnavailable):
            asked.forecast([ROW])
        assert len(server.bodies) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 429, 500, 501])
def test_no_other_answer_is_asked_again_and_the_endpoints_own_words_are_told(status: int) -> None:
    with odd_server(says(status, {"error": "no, since price is odd"})) as server, client(server.url) as asked:
        kind = RequestRefused if status < 500 else EndpointUnavailable
        with pytest.raises(kind, match=f"answered {status}: no, since price is odd"):
            asked.forecast([ROW])
        assert len(server.bodies) == 1


def test_a_slow_endpoint_is_given_up_after_the_time_out_and_not_asked_again() -> None:
    with odd_server(forecasts(1.0)) as server, client(server.url, timeout_s=0.2) as asked:
        server.answers["POST"] = [server.hangs]
        with pytest.raises(EndpointUnavailable, match=r"did not answer within 0\.2 s"):
            asked.forecast([ROW])
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says(200, "<html>welcome</html>", "text/html"), "not with JSON; is it a V2 server"),
        (says(200, {"predictions": [1.0]}), "gave no forecast that can be read: KeyError"),
        (says(200, [1.0]), "gave no forecast that can be read: TypeError"),
        (says(200, {"outputs": []}), "gave no forecast that can be read: IndexError"),
        (forecasts("many"), "gave no forecast that can be read: ValueError"),
        (forecasts(None), "gave no forecast that can be read: TypeError"),
        (forecasts(1.0, 2.0), "gave 2 forecasts for 1 rows"),
    ],
)
def test_an_answer_that_is_no_forecast_is_never_taken_for_one(answer: Answer, words: str) -> None:
    with odd_server(answer) as server, client(server.url) as asked, pytest.raises(EndpointUnavailable, match=words):
        asked.forecast([ROW])


def test_a_new_version_with_other_columns_needs_no_restart() -> None:
    def described(*names: str) -> Answer:
        return says(200, {"inputs": [{"name": name, "datatype": "FP64"} for name in names]})

    refusal = says(400, {"error": "column 'rain' (FP64) is missing"})
    with (
        odd_server(
            forecasts(1.0), refusal, forecasts(2.0), described=[described("price"), described("price", "rain")]
        ) as server,
        client(server.url) as asked,
    ):
        assert [asked.forecast([ROW | {"rain": 3.0}]) for _ in range(2)] == [[1.0], [2.0]]
        names = [[one["name"] for one in body["inputs"]] for body in server.bodies]
        assert names == [["price"], ["price"], ["price", "rain"]]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prize": 10.0}, r"the rows have no column 'price' \(FP64\), which the model needs; they have: prize"),
        ({"price": float("nan")}, "send None where a value is missing"),
        ({"price": object()}, "the rows hold what JSON can't say"),
        ({"price": "ten"}, "400: column 'price' is 'ten' in row 0, which is no FP64"),
        ({"price": None}, r"400: column 'price' is missing \(null or NaN\) in row 0"),
    ],
)
def test_a_wrong_row_is_refused_in_words(
    endpoint: RunningServer, registered: Shop, row: dict[str, Any], words: str
) -> None:
    (first, *_) = plain_rows(registered)
    del first["price"]
    with client(endpoint.url) as asked, pytest.raises(RequestRefused, match=words):
        asked.forecast([(first | row)] if "prize" not in row else [row])


def run_app(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_prints_a_table_and_takes_the_endpoint_from_the_environment(
    endpoint: RunningServer, registered: Shop, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    registered.rows.assign(note="not an input").to_csv(file, index=False)
    done = run_app(str(file), FORECAST_URL=endpoint.url, FORECAST_MODEL=MODEL)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split() == [*registered.rows.columns, "forecast"]
    assert [line.split()[-1] for line in lines] == [f"{one:,.1f}" for one in registered.answers["1"]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("price,rain\n1,2\n", "the rows have no column 'weight' (FP32), which the model needs; they have: price, rain"),
        ("price,visits\n1,2\n1,many\n", "line 3, column 'visits': 'many' is no INT64"),
        ("price,open\n1,perhaps\n", "line 2, column 'open': 'perhaps' is no BOOL"),
        ("price,rain\n", "has no rows under a header line"),
        ("", "has no rows under a header line"),
        (b"price\n\xff\xfe\n", "is no CSV file in UTF-8"),
        (None, "can't be read: No such file or directory"),
    ],
)
def test_a_wrong_file_is_named_with_the_place(
    endpoint: RunningServer, tmp_path: Path, content: str | bytes | None, words: str
) -> None:
    file = tmp_path / "rows.csv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = run_app("--url", endpoint.url, "--model", MODEL, str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "model", "code", "words"),
    [
        ("http://127.0.0.1:{free}", MODEL, 1, "nobody answers at http://127.0.0.1:{free}/v2/models/shop (tried 5"),
        ("{endpoint}", "shopp", 2, "answered 404: Model"),
        ("{endpoint}/elsewhere", MODEL, 2, "answered 404"),
        ("127.0.0.1:80", MODEL, 2, "can't be asked: No connection adapters"),
        ("", MODEL, 2, "FORECAST_URL is not set; set it, for example FORECAST_URL=http://127.0.0.1:8080"),
    ],
)
def test_a_wrong_endpoint_is_named(
    endpoint: RunningServer, tmp_path: Path, url: str, model: str, code: int, words: str
) -> None:
    free = free_port()
    done = run_app("--url", url.format(endpoint=endpoint.url, free=free), "--model", model, "rows.csv", FORECAST_URL="")
    assert done.returncode == code, done.stderr
    assert words.format(free=free) in done.stderr
    assert "Traceback" not in done.stderr
