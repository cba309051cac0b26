"""The demand forecast over plain HTTP: Open Inference Protocol V2 as JSON, with nothing but ``requests``."""

import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import requests

from app.errors import EndpointUnavailable, RequestRefused

URL_VARIABLE, MODEL_VARIABLE = "FORECAST_URL", "FORECAST_MODEL"
TIMEOUT_S = 10.0
ATTEMPTS = 5
BACKOFF_S = 0.1
"""The wait before attempt n + 1 is between nothing and this times 2 to the power n - 1, at random, so that many callers
that failed together don't come back together."""
AGAIN = frozenset({502, 503, 504})
"""A gateway's or server's "not now"."""

Row = Mapping[str, Any]
"""One row: numbers, text, true or false by column name; None or no entry where a value is missing."""


class DemandForecast:
    """The endpoint on one kept connection; one for each thread.

    The columns are the endpoint's own description, read on the first call, and again when it refuses a request and
    describes itself otherwise: a new model version with another set of columns needs no restart. Columns of a row that
    the model does not ask for are not sent.

    An inference changes nothing, so a request whose connection broke is asked again, as are answers 502, 503 and 504:
    at most 5 attempts with growing random waits. A time-out is not (a slow server is not helped by more requests), nor
    is any other answer.
    """

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        """url, model: else FORECAST_URL and FORECAST_MODEL of the environment. Raises RequestRefused without."""
        self.url = (url or given(URL_VARIABLE, "http://127.0.0.1:8080")).rstrip("/")
        self.model = model or given(MODEL_VARIABLE, "demand-forecaster")
        self.retried = 0
        """How many requests had to be sent again so far."""
        self._timeout = timeout_s
        self._attempts = attempts
        self._backoff = backoff_s
        self._session = requests.Session()
        self._session.headers["content-type"] = "application/json"
        self._columns: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def columns(self) -> dict[str, str]:
        """The protocol's datatype by column name, as the endpoint describes its model."""
        if not self._columns:
            self._columns = self._describe()
        return self._columns

    def forecast(self, rows: Sequence[Row]) -> list[float]:
        """One number a row, in order; an empty list for no rows.

        Raises EndpointUnavailable when nobody answers in time or the answer is no forecast, RequestRefused with the
        endpoint's own words when it does not know the model or can't take the rows.
        """
        if not rows:
            return []
        body = request_body(rows, self.columns())
        try:
            answer = self._ask("POST", "/infer", body)
        except RequestRefused:
            described = self._describe()
            if described == self._columns:
                raise
            self._columns = described  # another version has come, which asks for other columns
            answer = self._ask("POST", "/infer", request_body(rows, described))
        return read_answer(answer, len(rows), f"{self._path}/infer")

    @property
    def _path(self) -> str:
        return f"{self.url}/v2/models/{self.model}"

    def _describe(self) -> dict[str, str]:
        described = self._ask("GET", "")
        try:
            return {column["name"]: column["datatype"] for column in described["inputs"]}
        except (KeyError, TypeError) as error:
            raise EndpointUnavailable(
                f"{self._path} does not describe the model's inputs; is it a V2 server?"
            ) from error

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer of a request that may be sent several times."""
        url = self._path + path
        try:
            data = None if body is None else json.dumps(body, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RequestRefused(
                f"the rows hold what JSON can't say: {error}; send None where a value is missing"
            ) from error
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                response = self._session.request(method, url, data=data, timeout=self._timeout)
            except requests.Timeout as error:
                raise EndpointUnavailable(f"{url} did not answer within {self._timeout:g} s") from error
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                if last:
                    tried = f"tried {attempt} times"
                    raise EndpointUnavailable(f"nobody answers at {url} ({tried}); is it up? {error}") from error
            except requests.RequestException as error:
                raise RequestRefused(f"{url} can't be asked: {error}") from error
            else:
                if response.status_code not in AGAIN or last:
                    return read_json(response)
            self.retried += 1
            time.sleep(random.uniform(0, self._backoff * 2 ** (attempt - 1)))
        raise AssertionError("the last attempt returns or raises")


def given(variable: str, example: str) -> str:
    """A setting from the environment. Raises RequestRefused with an example if it is not there."""
    value = os.environ.get(variable)
    if not value:
        raise RequestRefused(f"{variable} is not set; set it, for example {variable}={example}")
    return value


def request_body(rows: Sequence[Row], columns: Mapping[str, str]) -> dict[str, Any]:
    """A V2 request. Raises RequestRefused for a column that is in no row, with the columns that are."""
    inputs = []
    for name, datatype in columns.items():
        if not any(name in row for row in rows):
            have = ", ".join(sorted({key for row in rows for key in row})) or "none"
            raise RequestRefused(
                f"the rows have no column {name!r} ({datatype}), which the model needs; they have: {have}"
            )
        values = [row.get(name) for row in rows]
        inputs.append({"name": name, "datatype": datatype, "shape": [len(rows)], "data": values})
    return {"inputs": inputs}


def read_json(response: requests.Response) -> Any:
    """The JSON of a good answer. Raises with the server's own message (at most 500 characters) for any other."""
    try:
        answer = response.json()
    except ValueError as error:
        if response.ok:
            raise EndpointUnavailable(f"{response.url} answered, but not with JSON; is it a V2 server?") from error
        answer = response.text
    if response.ok:
        return answer
    reason = answer.get("error", answer) if isinstance(answer, dict) else answer
    kind = RequestRefused if 400 <= response.status_code < 500 else EndpointUnavailable
    raise kind(f"{response.url} answered {response.status_code}: {str(reason)[:500]}")


def read_answer(answer: Any, rows: int, where: str) -> list[float]:
    """The first output as numbers, one a row. Raises EndpointUnavailable if it is no such thing."""
    try:
        values = [float(value) for value in answer["outputs"][0]["data"]]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EndpointUnavailable(f"{where} gave no forecast that can be read: {error!r}") from error
    if len(values) != rows:
        raise EndpointUnavailable(f"{where} gave {len(values)} forecasts for {rows} rows")
    return values
