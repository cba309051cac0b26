"""What a row of the table of backends says: the name, the settings, and what the backend can do."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from pipelines.backends.remote import BackendClient
from training.spec import ModelSpec
from training.spec.section import Frozen

if TYPE_CHECKING:
    from kfp.dsl import PipelineTask

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class BackendSettings(Frozen):
    """The section of the settings that bears a backend's name."""

    @property
    def is_set_up(self) -> bool:
        """Whether the settings say where the backend is."""
        return True

    @property
    def mounts(self) -> tuple[str, ...]:
        """Folders that the steps' containers have, besides their image."""
        return ()

    @property
    def output_root(self) -> str:
        """URI under which runs write; empty where the settings do not say."""
        return ""


@dataclass(frozen=True)
class PriceList:
    """What the machines of a backend cost, as far as it is published and was read."""

    currency: str
    read: date
    """When the prices were compared with what is published."""
    run_fee: float | None
    """Of one run; None where it is not known."""
    region: str
    """Where the prices hold; empty where the settings do not say."""
    notes: tuple[str, ...]
    """What keeps prices from being known."""
    machine: Callable[[ModelSpec, str], tuple[str, float | None]]
    """The machine type that a step runs on, and the price of an hour of it; None where it is not known. Raises
    InputError for a machine that does not exist."""


@dataclass(frozen=True)
class TrainingJob:
    """The train step alone, on several machines. data: URI of what preprocess wrote. out: URI for the model folder."""

    spec: ModelSpec
    image: str
    data: str
    out: str
    machine_type: str = ""
    """Instead of the smallest that fits."""


@dataclass(frozen=True)
class Backend:
    """A backend. Its functions take its section of the settings; one that is None is what it can't do."""

    name: str
    """That `--backend` and the section of the settings bear."""
    title: str
    """What people call it."""
    settings: type[BackendSettings] = BackendSettings
    client: Callable[[Any], BackendClient] | None = None
    """Runs, schedules: None where runs go by `ostinato run`."""
    prepare_task: Callable[["PipelineTask", str, ModelSpec, Any], Any] | None = None
    """Told of every task, with the step's name, while the pipeline is authored."""
    transform: Callable[[dict[str, Any], ModelSpec, Any], dict[str, Any]] | None = None
    """The compiled pipeline as the backend takes it."""
    training_job: Callable[[TrainingJob], str] | None = None
    """The job as the text of a file."""
    prices: Callable[[Any, Path | None], PriceList] | None = None
    """The prices, with those of a file of the user's own."""
    secrets: tuple[str, ...] = ()
    """Environment variables that hold its secrets, each also with `_FILE`."""
