"""The schema of ``spec.yaml``: the contract between a model's owner and every step of the pipeline.

A spec is frozen, refuses unknown keys, and has one canonical JSON form, so that equal specs have
equal digests. :func:`load_spec` reads one; :func:`json_schema` exports the schema for editors.
"""

import hashlib
import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import InputError, did_you_mean

Task = Literal["regression", "classification"]

_DURATION = re.compile(r"^(\d+)(m|h|d|w)$")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")


def parse_duration(text: str) -> timedelta:
    """``90m``, ``24h``, ``7d`` or ``8w`` as a timedelta. Raises ValueError for anything else."""
    match = _DURATION.match(text)
    if not match or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a duration; write a positive whole number and m, h, d or w, such as 8w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _check_duration(text: str) -> str:
    parse_duration(text)
    return text


def _check_quantity(text: str) -> str:
    if not _QUANTITY.match(text):
        raise ValueError(f"{text!r} is not a Kubernetes quantity; write one such as 500m, 2 or 4Gi")
    return text


Duration = Annotated[str, AfterValidator(_check_duration)]
Quantity = Annotated[str, AfterValidator(_check_quantity)]
Share = Annotated[float, Field(ge=0, le=1)]
ModelName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=50)]


class Frozen(BaseModel):
    """Frozen, unknown keys refused, attribute docstrings become the reference."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Section(Frozen):
    """Base of every part of a spec: it has one canonical text and a digest."""

    def canonical_json(self) -> str:
        """Equal content gives equal text: sorted keys, no whitespace, every default written out."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """``sha256:`` and the hex digest of the canonical JSON."""
        return "sha256:" + hashlib.sha256(self.canonical_json().encode()).hexdigest()


class Column(Section):
    """What one column of the source may hold. A row that breaks it is refused, with the reason counted."""

    type: Literal["int", "float", "string", "bool", "datetime", "date"]
    """Type of the values. Text that does not parse as the type is a refused row."""
    unit: str = ""
    """Unit of the values, such as `degC` or `rentals per hour`; shown in the report and the model card."""
    min: float | None = None
    """Smallest allowed value (numbers only)."""
    max: float | None = None
    """Largest allowed value (numbers only)."""
    nullable: bool = False
    """Whether the value may be missing. The target may never be."""
    unique: bool = False
    """Whether a value may occur once only; later rows with the same value are refused."""
    allowed: tuple[str | int | bool, ...] = ()
    """The only values allowed; empty means any."""

    @model_validator(mode="after")
    def _range_fits_type(self) -> Self:
        if (self.min is not None or self.max is not None) and self.type not in ("int", "float"):
            raise ValueError(f"min and max are for int and float columns, this one is {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class TimeSplit(Section):
    """The last rows by time are the test set."""

    by: Literal["time"]
    test: Duration
    """Length of the test period at the end of the data."""
    embargo: Duration | None = None
    """Rows this close before the test period are left out of training, so that no label overlaps a test row."""


class KeySplit(Section):
    """A stable hash of the key decides the side, so a row never changes sides when data is added.

    Without `data.key` the whole row is hashed, so that equal rows are on the same side.
    """

    by: Literal["key"]
    test: Annotated[float, Field(gt=0, lt=1)]
    """Share of the keys on the test side."""


class TestSet(Section):
    """A fixed test set, pinned by its content."""

    path: str = "testset.parquet"
    """Where the pinned rows are: relative to the model's folder, or a URI."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the file's bytes."""
    pinned_on: date
    """The day it was pinned."""
    rotate_every: Duration = "26w"
    """How long a pin is valid; `ostinato testset rotate` makes a new one."""
    on_violation: Literal["error", "warn"] = "error"
    """What a pin that has expired or does not match its bytes does to the run."""


class DataSpec(Section):
    """Where the rows come from, what they must look like, and how they are split."""

    source: str
    """A CSV or Parquet file, directory or glob: relative to the model's folder, or a local, `gs://`, `s3://`,
    `https://` or `bigquery://project.dataset.table` URI."""
    columns: dict[str, Column] = Field(min_length=1)
    """The contract, a column each. Columns of the source that are not named here are dropped."""
    target: str
    """The column to predict."""
    time: str | None = None
    """The column that orders the rows; required for a split by time. Rows in the future are refused."""
    key: str | None = None
    """The column that identifies a row, or the rows that must stay on one side (mark it `unique` for the former).
    A split by key without one hashes the whole row."""
    max_gap: Duration | None = None
    """Longest allowed gap between neighbouring times; a longer one stops the run."""
    max_refused: Share = 0.01
    """Largest share of rows that may be refused before the run stops."""
    split: Annotated[TimeSplit | KeySplit, Field(discriminator="by")]
    testset: TestSet | None = None
    """A fixed test set; without one the split's test side is used."""

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        for field in ("target", "time", "key"):
            name = getattr(self, field)
            if name is not None and name not in self.columns:
                raise ValueError(f"{field} is {name!r}, which is not in columns. {did_you_mean(name, self.columns)}")
        if self.columns[self.target].nullable:
            raise ValueError(f"the target {self.target!r} may not be nullable")
        if self.split.by == "time" and self.time is None:
            raise ValueError("a split by time needs data.time: name the column that orders the rows")
        if self.time is not None and self.columns[self.time].type not in ("datetime", "date"):
            raise ValueError(f"data.time {self.time!r} must be a datetime or date column")
        if self.max_gap is not None and self.time is None:
            raise ValueError("data.max_gap needs data.time")
        return self


class Accelerator(Section):
    """A GPU for the training step."""

    type: str
    """The engine's name for it, such as `nvidia.com/gpu` (Kubeflow) or `NVIDIA_TESLA_T4` (Vertex AI)."""
    count: Annotated[int, Field(ge=1, le=16)] = 1


class Resources(Section):
    """What a container asks for. On a laptop the machine's own size decides."""

    cpu: Quantity = "1"
    memory: Quantity = "2Gi"
    accelerator: Accelerator | None = None


class TrainingSpec(Section):
    """How the model is fitted."""

    entry_point: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*:[a-z_][a-z0-9_]*$")] = "model:train"
    """`module:function` in the model's folder."""
    hyperparameters: dict[str, bool | int | float | str | None] = {}
    """Checked against the folder's `Hyperparameters` class; `--param name=value` overrides one."""
    seed: int = 0
    resources: Resources = Resources()
    trusted_types: tuple[str, ...] = ()
    """Types that skops may construct when it loads the weights, besides the ones that it trusts by itself."""


class AbsoluteCheck(Section):
    """The candidate's metric, bounded by a number."""

    kind: Literal["absolute"]
    metric: str
    max: float | None = None
    min: float | None = None
    required: bool = True

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.max is None) == (self.min is None):
            raise ValueError("give exactly one of max and min")
        return self


class RelativeCheck(Section):
    """The candidate against the champion or the baseline, on the same rows.

    Holds when the paired interval's unfavourable end is no worse than the other's value by more than the
    margin: `margin: 0.02` allows 2 % worse, `margin: -0.2` demands 20 % better.
    """

    kind: Literal["champion", "baseline"]
    metric: str
    margin: Annotated[float, Field(gt=-1, lt=10)] = 0.0
    """Relative to the other's value; negative demands an improvement."""
    required: bool = True


class SliceCheck(Section):
    """The metric in every group of rows with the same value of a column."""

    kind: Literal["slice"]
    column: str
    """A column of the test rows with few values."""
    metric: str
    max: float | None = None
    min: float | None = None
    champion_margin: Annotated[float, Field(gt=-1, lt=10)] | None = None
    """How much worse than the champion, relatively, a slice may be."""
    min_rows: Annotated[int, Field(ge=1)] = 30
    """Slices with fewer rows are listed but not judged."""
    required: bool = True

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(bound is not None for bound in (self.max, self.min, self.champion_margin)) != 1:
            raise ValueError("give exactly one of max, min and champion_margin")
        return self


class DriftCheck(Section):
    """Share of input columns whose distribution moved between the training rows and the test rows."""

    kind: Literal["drift"]
    max_share: Share
    required: bool = True


class LatencyCheck(Section):
    """Time of a one-row prediction, in milliseconds, 99th percentile."""

    kind: Literal["latency"]
    max_p99_ms: Annotated[float, Field(gt=0)]
    required: bool = True


class SizeCheck(Section):
    """Size of the model folder in MiB."""

    kind: Literal["size"]
    max_mib: Annotated[float, Field(gt=0)]
    required: bool = True


Check = Annotated[
    AbsoluteCheck | RelativeCheck | SliceCheck | DriftCheck | LatencyCheck | SizeCheck,
    Field(discriminator="kind"),
]

METRICS: dict[Task, dict[str, Literal["lower", "higher"]]] = {
    "regression": {"mae": "lower", "rmse": "lower", "r2": "higher", "bias": "lower", "mape": "lower"},
    "classification": {
        "accuracy": "higher",
        "balanced_accuracy": "higher",
        "precision": "higher",
        "recall": "higher",
        "f1": "higher",
        "roc_auc": "higher",
        "log_loss": "lower",
        "brier": "lower",
    },
}
"""The metrics of each task and which direction is better. `bias` is judged by its absolute value."""


class Baseline(Section):
    """What anyone could do without a model; it has its own row in the verdict."""

    kind: Literal["column", "mean", "majority"]
    """`column`: predict the value of a column (seasonal naive is a lag of the target); `mean` and `majority`: of the
    training rows' target."""
    column: str | None = None
    name: str = ""
    """How the verdict calls it, such as `seasonal naive`."""

    @model_validator(mode="after")
    def _column_given(self) -> Self:
        if (self.kind == "column") != (self.column is not None):
            raise ValueError("a baseline of kind column needs a column, the others take none")
        return self


class QualitySpec(Section):
    """When a candidate is good enough to replace the champion."""

    metric: str
    """The metric of record: the headline of every report."""
    baseline: Baseline | None = None
    checks: tuple[Check, ...] = Field(min_length=1)
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Level of the bootstrap intervals."""
    sample_rows: Annotated[int, Field(ge=100, le=100_000)] = 5_000
    """Cap of the seeded sample that the Evidently report sees; headline metrics always use every row."""


class Scaling(Section):
    """How many replicas serve."""

    min_replicas: Annotated[int, Field(ge=1)] = 1
    max_replicas: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}")
        return self


class ServingSpec(Section):
    """How KServe serves the model."""

    runtime: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")] = "ostinato-mlflow"
    """Name of the ServingRuntime; always written into the manifest."""
    model_format: str = "mlflow"
    protocol: Literal["v1", "v2"] = "v2"
    deployment_mode: Literal["Standard", "Knative"] = "Standard"
    """KServe fixes it for the life of a service."""
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] = "models"
    resources: Resources = Resources()
    scaling: Scaling = Scaling()


class ReleaseSpec(Section):
    """How a candidate that passed goes live."""

    mode: Literal["direct", "pull-request"] = "direct"
    """`direct` commits to the live branch; `pull-request` pushes a release branch for a reviewer to merge."""


class ModelSpec(Section):
    """Everything that a model's owner decides."""

    name: ModelName
    """Lower-case letters, digits and hyphens; the folder has the same name with underscores."""
    task: Task
    description: str
    """What it predicts and for whom; opens the model card."""
    owner: str = ""
    """Who answers for it: a team or an address."""
    data: DataSpec
    training: TrainingSpec = TrainingSpec()
    quality: QualitySpec
    registry: Annotated[str, Field(pattern=r"^([A-Za-z0-9][-A-Za-z0-9_. ]*)?$", max_length=200)] = ""
    """Name of the registered model; the model's own name unless given."""
    serving: ServingSpec = ServingSpec()
    release: ReleaseSpec = ReleaseSpec()

    @property
    def registered_name(self) -> str:
        return self.registry or self.name

    @model_validator(mode="after")
    def _quality_fits_task(self) -> Self:
        known = METRICS[self.task]
        named = {"quality.metric": self.quality.metric}
        for i, check in enumerate(self.quality.checks):
            if isinstance(check, AbsoluteCheck | RelativeCheck | SliceCheck):
                named[f"quality.checks.{i}.metric"] = check.metric
            if isinstance(check, RelativeCheck) and check.kind == "baseline" and self.quality.baseline is None:
                raise ValueError(f"quality.checks.{i} is against the baseline, but quality.baseline is missing")
        for field, metric in named.items():
            if metric not in known:
                raise ValueError(f"{field} is {metric!r}, no metric of {self.task}. {did_you_mean(metric, known)}")
        baseline = self.quality.baseline
        if baseline and {"mean": "regression", "majority": "classification"}.get(baseline.kind, self.task) != self.task:
            raise ValueError(f"quality.baseline.kind is {baseline.kind!r}, which does not fit {self.task}")
        return self


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``spec.yaml``, for editors and reviews."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ModelSpec.model_json_schema()}


def parse_spec(text: str, where: str) -> ModelSpec:
    """Parse and check the text of a ``spec.yaml``; ``where`` names it in errors.

    Raises InputError that lists every wrong field with its value and the fix.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where} is not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{where} must hold a mapping with name, task, data, quality; it holds {type(raw).__name__}")
    try:
        return ModelSpec.model_validate(raw)
    except ValidationError as error:
        lines = "\n".join(f"  {_explain(problem)}" for problem in error.errors())
        raise InputError(f"{where} has {error.error_count()} wrong field(s):\n{lines}") from error


def load_spec(path: Path) -> ModelSpec:
    """Read ``spec.yaml``. Raises InputError if it is missing, not YAML or breaks the schema."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; `ostinato new NAME` makes a model folder with one") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from error
    return parse_spec(text, str(path))


def _explain(problem: Any) -> str:
    """One line for one pydantic problem: the field, what is wrong with the value, the fix."""
    tags = {"time", "key", *(k for k in ("absolute", "champion", "baseline", "slice", "drift", "latency", "size"))}
    path = [part for i, part in enumerate(problem["loc"]) if not (i and part in tags and _is_tag(problem["loc"], i))]
    where = ".".join(str(part) for part in path) or "spec"
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key. {did_you_mean(str(path[-1]), _fields_at(path[:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = "" if isinstance(value, dict | BaseModel) else f" (got {value!r})"
    return f"{where}: {message}{shown}"


def _is_tag(loc: tuple[Any, ...], i: int) -> bool:
    """Whether ``loc[i]`` is the union tag that pydantic puts after a discriminated field."""
    return loc[i - 1] == "split" or (i >= 2 and loc[i - 2] == "checks")


def _fields_at(path: list[Any]) -> set[str]:
    """Names of the fields allowed at a path of the schema (union members pooled)."""
    schema = json_schema()
    nodes: list[dict[str, Any]] = [schema]

    def resolve(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return resolve(schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
        for union in ("oneOf", "anyOf", "allOf"):
            if union in node:
                return [leaf for member in node[union] for leaf in resolve(member)]
        return [node]

    for part in path:
        inner = [
            node.get("items", {})
            if isinstance(part, int)
            else node.get("properties", {}).get(part)
            or (node.get("additionalProperties") if isinstance(node.get("additionalProperties"), dict) else {})
            for node in nodes
        ]
        nodes = [leaf for node in inner if node for leaf in resolve(node)]
    return {name for node in nodes for name in node.get("properties", {})}
