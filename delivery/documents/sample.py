"""The sample: test rows and what the model said about them offline. The gate asks the runtime for it before a release,
and `ostinato verify` asks the live endpoint for it afterwards."""

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import JsonValue

from delivery.documents.document import Document
from training.spec import TASKS, Decoding, Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SAMPLE_FILE = "sample.json"
NEXT_TO_ZERO = 1e-2
"""Of the largest expected number: a smaller one is compared as if it were so large."""


class Sample(Document):
    """`sample.json`: beside the verdict, which has its digest, in the run that registered the version."""

    schema_version: Literal["ostinato.sample/1"] = "ostinato.sample/1"
    model: str
    task: Task
    model_digest: str
    columns: dict[str, tuple[JsonValue, ...]]
    """Inputs by name, one value a row as JSON has them: null where one is missing, moments as ISO 8601 text. Of a
    language model `messages` alone: the conversation before each answer."""
    expected: tuple[JsonValue, ...]
    """The offline predictions, one a row: numbers, class labels, or texts."""
    tolerance: float
    """Largest :func:`difference` that is allowed: 0 for classes."""
    decoding: Decoding | None = None
    """How the texts of a language model were made."""

    @property
    def rows(self) -> "pd.DataFrame":
        """The inputs, (n, columns)."""
        import pandas as pd

        return pd.DataFrame({name: list(values) for name, values in self.columns.items()})

    @property
    def prompts(self) -> list[list[dict[str, str]]]:
        """The questions to a language model (n,): conversations up to where the answer begins."""
        conversations: Any = self.columns["messages"]
        return [[dict(message) for message in messages] for messages in conversations]

    @property
    def answers(self) -> "np.ndarray":
        """The offline predictions, (n,): float64, class labels, or texts."""
        import numpy as np

        return np.array(self.expected, dtype=np.float64 if TASKS[self.task].answers == "numbers" else object)


def make_sample(
    model: str, task: Task, digest: str, rows: "pd.DataFrame", expected: "np.ndarray", tolerance: float
) -> Sample:
    """rows: (n, inputs). expected: the offline predictions (n,), float64 or class labels. tolerance: of numbers."""
    columns: dict[str, Any] = {str(name): json_values(column) for name, column in rows.items()}
    return Sample(
        model=model,
        task=task,
        model_digest=digest,
        columns=json.loads(json.dumps(columns)),
        expected=expected.tolist(),
        tolerance=tolerance if TASKS[task].answers == "numbers" else 0.0,
    )


def difference(served: "np.ndarray", expected: "np.ndarray", task: Task) -> float:
    """How far served (n,) is from expected (n,).

    Classes: the share of the rows with another class. Texts: the share with another text, white space
    apart. Numbers: the largest |served - expected| relative to
    |expected|, or to a hundredth of the largest |expected| where that is more, so that rounding next to zero counts
    for what it is; infinite where one is not finite.
    """
    import numpy as np

    if served.shape != expected.shape:
        return float("inf")
    answers = TASKS[task].answers
    if answers == "texts":
        served, expected = (
            np.array([" ".join(answer.split()) for answer in side], object) for side in (served, expected)
        )
    if answers != "numbers":
        return sum(mine != other for mine, other in zip(served.tolist(), expected.tolist(), strict=True)) / len(
            expected
        )
    served, expected = served.astype(np.float64), expected.astype(np.float64)
    if not (np.isfinite(served).all() and np.isfinite(expected).all()):
        return float("inf")
    size = np.abs(expected)
    apart = np.abs(served - expected)
    scale = np.maximum(size, size.max() * NEXT_TO_ZERO)
    return float(np.divide(apart, scale, out=np.where(apart > 0, np.inf, 0.0), where=scale > 0).max())


def json_values(column: "pd.Series", datatype: str = "", gap: float | None = None) -> list[Any]:
    """Values (n,) as JSON has them: ``gap`` where a number is missing, else null, moments as ISO 8601 text; whole
    numbers for an integer ``datatype`` of the protocol."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        return [None if moment is pd.NaT else moment.isoformat() for moment in column]
    values = column.to_numpy()
    if values.dtype.kind == "f":
        if datatype.startswith("INT") and np.array_equal(values, np.floor(values)):
            values = values.astype(np.int64)
        elif np.isnan(values).any():
            return [gap if value != value else value for value in values.tolist()]
        return values.tolist()
    if values.dtype.kind == "O":
        gaps = column.isna().to_numpy()
        missing = None if datatype == "BYTES" else gap
        return [missing if is_gap else _plain(value) for value, is_gap in zip(values, gaps, strict=True)]
    return values.tolist()


def _plain(value: Any) -> Any:
    """A date or a NumPy scalar as JSON has it."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
