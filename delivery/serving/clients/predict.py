"""Ask a served model over the Open Inference Protocol V2 (REST) or over V1, with rows in and an array out."""

import json
from typing import TYPE_CHECKING, Any

from delivery.documents.sample import json_values
from training.errors import InputError, OstinatoError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import requests

TIMEOUT_S = 30.0
JSON = {"content-type": "application/json"}
DTYPES = {"FP64": "float64", "FP32": "float32", "INT64": "int64", "INT32": "int32", "BOOL": "bool", "BYTES": "object"}
"""NumPy's names of the protocol's datatypes."""


class ServedModel:
    """A model behind a URL, on one connection that is kept; not for several threads at once.

    protocol: v2, or v1, which says nothing of the inputs: every column of the rows is then sent. Raises OstinatoError
    that names the URL when nobody answers, in time or at all, or the answer is no answer of the protocol, with the
    server's own words when it refuses; InputError when the rows lack a column.
    """

    def __init__(self, url: str, model: str, timeout_s: float = TIMEOUT_S, protocol: str = "v2") -> None:
        import requests

        assert protocol in ("v1", "v2"), protocol
        self._v1 = protocol == "v1"
        self._base = f"{url.rstrip('/')}/{protocol}/models/{model}"
        self._timeout = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False
        self.versions: tuple[str, ...] = ()
        """That the server says it serves: the model digest where it is ours, a number elsewhere; none over V1."""
        described = self._ask("GET", "")
        if self._v1:
            return
        try:
            self.versions = tuple(described.get("versions") or ())
            self._datatypes = {column["name"]: column["datatype"] for column in described["inputs"]}
            self._columns = {column["name"] for column in described["inputs"] if len(column["shape"]) == 2}
            self._outputs = {column["name"] for column in described.get("outputs") or []}
            # Triton alone gives a platform; its JSON has NaN and no null (triton_json.h, kParseNanAndInfFlag).
            self._gap = float("nan") if described.get("platform") else None
        except (KeyError, TypeError, AttributeError) as error:
            raise OstinatoError(f"{self._base} does not describe its inputs: {error!r}") from error

    def infer(self, rows: "pd.DataFrame", output: str = "predict") -> "np.ndarray":
        """One output for the rows: ``predict`` (n,), or a classifier's ``predict_proba`` (n, classes)."""
        return self.send(self.request(rows, output), output)

    def request(self, rows: "pd.DataFrame", output: str = "predict") -> dict[str, Any]:
        """The JSON body that asks for the rows; further columns of ``rows`` are left out."""
        columns = {str(name): column for name, column in rows.items()}
        if self._v1:
            values = {name: json_values(column) for name, column in columns.items()}
            return {"instances": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]}
        inputs = []
        for name, datatype in self._datatypes.items():
            if name not in columns:
                raise InputError(
                    f"the rows lack the column {name!r} ({datatype}) that the model needs. "
                    f"{did_you_mean(name, columns)}"
                )
            values = json_values(columns[name], datatype, self._gap)
            shape = [len(values), 1] if name in self._columns else [len(values)]
            inputs.append({"name": name, "datatype": datatype, "shape": shape, "data": values})
        if self._only_answer(output):
            return {"inputs": inputs}
        return {"inputs": inputs, "outputs": [{"name": output}]}

    def send(self, body: dict[str, Any], output: str = "predict") -> "np.ndarray":
        """Post a body that :meth:`request` made, and read the named output."""
        import numpy as np

        answer = self._ask("POST", ":predict" if self._v1 else "/infer", body)
        try:
            if self._v1:
                predictions = np.array(answer["predictions"])
                return predictions.astype(object) if predictions.dtype.kind == "U" else predictions
            answers = [tensor for tensor in answer["outputs"] if tensor["name"] == output or self._only_answer(output)]
            values = np.array(answers[0]["data"], dtype=DTYPES[answers[0]["datatype"]]).reshape(answers[0]["shape"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise OstinatoError(f"{self._base} gave no output {output!r} that can be read: {error!r}") from error
        return values[:, 0] if output == "predict" and values.ndim == 2 and values.shape[1] == 1 else values

    def _only_answer(self, output: str) -> bool:
        """Whether the prediction is the one output of a server that names it otherwise, and not as it announced:
        MLServer 1.7 describes ``output-0`` and answers ``output-1``."""
        return output == "predict" and len(self._outputs) == 1 and output not in self._outputs

    def close(self) -> None:
        self._session.close()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        import requests

        url = self._base + path
        try:
            text = None if body is None else json.dumps(body)
            response = self._session.request(method, url, data=text, headers=JSON, timeout=self._timeout)
        except requests.Timeout as error:
            raise OstinatoError(f"{url} did not answer within {self._timeout:g} s; is the model overloaded?") from error
        except requests.ConnectionError as error:
            raise OstinatoError(f"nobody answers at {url}; is the server running? ({error})") from error
        except requests.RequestException as error:
            raise InputError(f"{url} can't be asked: {error}") from error
        if response.status_code != 200:
            raise OstinatoError(f"{url} answered {response.status_code}: {_reason(response)}")
        try:
            return response.json()
        except ValueError as error:
            raise OstinatoError(f"{url} answered 200 with a body that is no JSON; is it a V2 server?") from error


def _reason(response: "requests.Response") -> str:
    """The server's own message, at most 500 characters."""
    try:
        body = response.json()
    except ValueError:
        return f"{response.text[:500]} (no JSON; is it a V2 server?)"
    message = body.get("error", body.get("detail", body)) if isinstance(body, dict) else body
    return str(message)[:500]
