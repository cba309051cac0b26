"""The schema of ``spec.yaml``: the contract between a model's owner and every step of the pipeline.

A spec is frozen, refuses unknown keys, and has one canonical JSON form, so that equal specs have equal digests.
:func:`load_spec` reads one; :func:`json_schema` exports the schema for editors. Sections have files of their own.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from training.errors import InputError
from training.spec.argument import LONGEST, argument_size
from training.spec.checks.check import SpecContext
from training.spec.checks.judge_bound import JudgeCheck
from training.spec.data import DataSpec
from training.spec.drift import DriftWatchSpec
from training.spec.explain import explain, is_echo
from training.spec.fine_tuning import FineTuning
from training.spec.generation import BaseModelSpec, ConversationSpec, Decoding
from training.spec.kubernetes_rules import ModelName, RegisteredName
from training.spec.plain_yaml import ambiguous_numbers, read_yaml
from training.spec.quality import QualitySpec
from training.spec.resources import StepResources
from training.spec.schedule import ScheduleSpec
from training.spec.section import Section
from training.spec.serving import ServingSpec
from training.spec.serving_language import check_adapter_is_served
from training.spec.steps import StepsSpec
from training.spec.tasks import TASKS, Answers, Task

LONGEST_LABEL = 63
"""Of a label of Kubernetes and of one part of a host name, in characters."""


class TrainingSpec(Section):
    """How the model is fitted."""

    entry_point: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*:[a-z_][a-z0-9_]*$")] = "model:train"
    """`module:function` in the model's folder."""
    hyperparameters: dict[str, bool | int | float | str | None] = {}
    """Checked against the folder's `Hyperparameters` class; `--param name=value` overrides one."""
    seed: int = 0
    base_model: BaseModelSpec | None = None
    """What a language model starts from."""
    system_prompt: Annotated[str, Field(pattern=r"^(prompts/([-A-Za-z0-9_]+/)*[-A-Za-z0-9_]+\.md)?$")] = ""
    """A file in the model's folder, such as `prompts/system.md`. It is written into the chat template, so that every
    runtime gives it to the model where a caller sends no system message; the training conversations get it too."""
    adapter: Literal["merged", "separate"] = "merged"
    """LoRA weights are added to the base model's, or served beside them."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Machines that train together, each with `resources`; more than one on a cluster only."""
    resources: StepResources = StepResources()
    trusted_types: tuple[str, ...] = ()
    """Types that skops may construct when it loads the weights, besides the ones that it trusts by itself."""

    @property
    def lora_rank(self) -> int:
        """Of a LoRA adapter, by the hyperparameter of that name; what a fine-tuning takes unless it is given."""
        usual = FineTuning().lora_rank
        rank = self.hyperparameters.get("lora_rank", usual)
        return rank if isinstance(rank, int) else usual


Label = Annotated[str, Field(pattern=r"^[^\s,][^\n,]*$", max_length=100)]


class ReleaseSpec(Section):
    """How a candidate that passed goes live."""

    mode: Literal["direct", "pull-request"] = "direct"
    """`direct` commits to the live branch; `pull-request` pushes a release branch for a reviewer to merge."""
    labels: tuple[Label, ...] = ()
    """Of the pull request; the forge must know them, or make them as it does."""
    reviewers: tuple[Label, ...] = ()
    """User names at the forge that are asked to review."""
    draft: bool = False
    """Open the pull request as a draft."""


def _kind_of_data(value: Any) -> str:
    """What `kind` says; a table unless it says something."""
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "table" if kind is None else str(kind)


class ModelSpec(Section):
    """Everything that a model's owner decides."""

    name: ModelName
    """Lower-case letters, digits and hyphens; the folder has the same name with underscores."""
    task: Task
    description: str
    """What it predicts and for whom; opens the model card."""
    owner: str = ""
    """Who answers for it: a team or an address."""
    data: Annotated[
        Annotated[DataSpec, Tag("table")] | Annotated[ConversationSpec, Tag("conversations")],
        Discriminator(_kind_of_data),
    ]
    """A table, or `kind: conversations` for a language model."""
    training: TrainingSpec = TrainingSpec()
    quality: QualitySpec
    registry: RegisteredName = ""
    """Name of the registered model; the model's own name unless given."""
    serving: ServingSpec = ServingSpec()
    release: ReleaseSpec = ReleaseSpec()
    steps: StepsSpec = StepsSpec()
    schedule: ScheduleSpec | None = None
    drift_watch: DriftWatchSpec | None = None
    """Of a table; see [drift](../explanation/drift.md)."""

    @property
    def is_language_model(self) -> bool:
        return TASKS[self.task].is_language_model

    @property
    def registered_name(self) -> str:
        return self.registry or self.name

    def resources_of(self, step: str) -> tuple[str, StepResources | None]:
        """The field that says what a step's container asks for, and what it says."""
        if step == "train":
            return "training.resources", self.training.resources
        return f"steps.{step}.resources", getattr(self.steps.of(step), "resources", None)

    @model_validator(mode="before")
    @classmethod
    def _data_fits_task(cls, raw: Any) -> Any:
        """Before the data is read, which would name every field that the other kind has."""
        if isinstance(raw, dict) and isinstance(raw.get("data"), dict | Section) and raw.get("task") in tuple(TASKS):
            fit = "conversations" if TASKS[raw["task"]].is_language_model else "table"
            kind = _kind_of_data(raw["data"])
            if kind != fit and kind in ("table", "conversations"):
                raise ValueError(f"data.kind is {kind!r}, and the task {raw['task']} needs {fit!r}")
        return raw

    @model_validator(mode="after")
    def _quality_fits_task(self) -> Self:
        quality, baseline = self.quality, self.quality.baseline
        context = SpecContext(self.task, baseline is not None, quality.judge)
        context.require_metric("quality.metric", quality.metric)
        if baseline and context.answers not in BASELINES[baseline.kind]:
            fitting = [kind for kind, answers in BASELINES.items() if context.answers in answers]
            raise ValueError(
                f"quality.baseline.kind is {baseline.kind!r}, which does not fit {self.task}; write "
                + " or ".join(fitting)
            )
        for i, check in enumerate(quality.checks):
            check.require_fit(f"quality.checks.{i}", replace(context, earlier=quality.checks[:i]))
        return self

    @model_validator(mode="after")
    def _has_a_host_name(self) -> Self:
        # KServe names the host of a Standard service so, and refuses it otherwise ("invalid domain name").
        serving = self.serving
        label = f"{self.name}-predictor-{serving.namespace}"
        if serving.resource == "InferenceService" and len(label) > LONGEST_LABEL:
            raise ValueError(
                f"name and serving.namespace: KServe would call the host {label!r}, {len(label) - LONGEST_LABEL} "
                f"characters longer than the {LONGEST_LABEL} that are allowed; shorten one of them"
            )
        return self

    @model_validator(mode="after")
    def _is_whole_for_its_task(self) -> Self:
        if self.is_language_model != (self.training.base_model is not None):
            raise ValueError(
                "training.base_model is missing; name the model that is fine-tuned"
                if self.is_language_model
                else f"training.base_model is for task: generation, and the task is {self.task}"
            )
        if self.is_language_model != (self.serving.protocol == "openai"):
            raise ValueError(
                f"serving.protocol is {self.serving.protocol!r}; write "
                + ("openai for a language model" if self.is_language_model else f"v2 or v1, the task is {self.task}")
            )
        return self

    @model_validator(mode="after")
    def _has_no_field_of_another_task(self) -> Self:
        fresh = TrainingSpec()
        given = {
            "training.system_prompt": self.training.system_prompt != fresh.system_prompt,
            "training.adapter": self.training.adapter != fresh.adapter,
            "quality.decoding": self.quality.decoding != Decoding(),
            "quality.similarity": self.quality.similarity is not None,
            "quality.judge": self.quality.judge is not None,
        }
        for field, is_given in given.items():
            if is_given and not self.is_language_model:
                raise ValueError(f"{field} is for task: generation, and the task is {self.task}; leave it out")
        if self.drift_watch is not None and self.is_language_model:
            raise ValueError("drift_watch compares rows of a table, and the task is generation; leave it out")
        return self

    @model_validator(mode="after")
    def _adapter_is_served(self) -> Self:
        if self.training.adapter == "separate":
            method = self.training.hyperparameters.get("method", "lora")
            if method != "lora":
                raise ValueError(
                    f"training.adapter: separate serves the weights of method: lora, and the method is {method!r}; "
                    "leave adapter out"
                )
            check_adapter_is_served(self.serving, self.training.lora_rank)
        return self

    @model_validator(mode="after")
    def _fits_in_one_argument(self) -> Self:
        size = argument_size(self.canonical_json())
        if size > LONGEST:
            raise ValueError(
                f"the whole spec takes {size:,} bytes as one argument of a pipeline's step, compressed, and "
                f"{LONGEST:,} are allowed; move long texts and lists of values into files of the model's folder"
            )
        return self

    @model_validator(mode="after")
    def _judge_and_encoder_are_used(self) -> Self:
        quality = self.quality
        if quality.judge is not None and not any(isinstance(check, JudgeCheck) for check in quality.checks):
            raise ValueError("quality.judge is asked by no check; add one of kind judge, or leave it out")
        metrics = [getattr(check, "metric", "") for check in quality.checks]
        if "similarity" in (quality.metric, *metrics) and quality.similarity is None:
            raise ValueError("the metric similarity needs quality.similarity: the sentence encoder")
        return self


BASELINES: dict[str, tuple[Answers, ...]] = {
    "column": ("numbers", "classes"),
    "mean": ("numbers",),
    "majority": ("classes",),
    "base_model": ("texts",),
}
"""Which answers each kind of baseline is for."""


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``spec.yaml``, for editors and reviews."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ModelSpec.model_json_schema()}


def parse_spec(text: str, where: str) -> ModelSpec:
    """Parse and check the text of a ``spec.yaml``; ``where`` names it in errors.

    Raises InputError that lists every wrong field with its value and the fix.
    """
    try:
        raw, written = read_yaml(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where} is not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{where} must hold a mapping with name, task, data, quality; it holds {type(raw).__name__}")
    problems = ambiguous_numbers(written)
    try:
        spec = ModelSpec.model_validate(raw)
    except ValidationError as error:
        schema = json_schema()
        problems = [explain(problem, schema, written) for problem in error.errors() if not is_echo(problem)]
        raise _wrong(where, problems) from error
    if problems:
        raise _wrong(where, problems)
    return spec


def _wrong(where: str, problems: list[str]) -> InputError:
    lines = "\n".join(f"  {problem}" for problem in problems)
    return InputError(f"{where} has {len(problems)} wrong field(s):\n{lines}")


def load_spec(path: Path) -> ModelSpec:
    """Read ``spec.yaml``. Raises InputError if it is missing, not YAML or breaks the schema."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; `ostinato new NAME` makes a model folder with one") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from error
    return parse_spec(text, str(path))
