"""What an hour of a machine costs at Google, as far as it is published and was read."""

from datetime import date
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from pipelines.backends.row import PriceList
from pipelines.backends.vertex.machines import MACHINES, Machine, machine_for
from pipelines.backends.vertex.package import requested_resources
from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError
from training.spec import ModelSpec
from training.spec.section import Frozen

TABLE = Path(__file__).with_name("prices.yaml")
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Family(Frozen):
    """Of machine types, such as n1: price of an hour."""

    core: Price
    gibibyte: Price


class Region(Frozen):
    """Prices of an hour in one region."""

    families: dict[str, Family] = {}
    machines: dict[str, Price] = {}
    """Whole machine types, accelerators not counted; goes before its family."""
    accelerators: dict[str, Price] = {}
    """Of one accelerator, by Vertex AI's name."""
    spot: dict[str, Price] = {}
    """Whole machine types, accelerators counted, where they may be taken away."""


class Prices(Frozen):
    """A table of prices."""

    read: date
    """When it was compared with what is published."""
    currency: str
    run: Price | None = None
    """Of one pipeline run."""
    regions: dict[str, Region] = {}

    def hour(self, region: str, machine: str, accelerator: str, count: int, spot: bool) -> float | None:
        """Price of an hour of a machine with accelerators; None if a part of it is not known."""
        known = self.regions.get(region)
        if known is None:
            return None
        if spot:
            return known.spot.get(machine)
        base = known.machines.get(machine)
        family = known.families.get(machine.split("-")[0])
        if base is None and family is not None and (size := size_of(machine)):
            base = size[1] * family.core + float(size[2]) * family.gibibyte
        extra = known.accelerators.get(accelerator) if count else 0.0
        return None if base is None or extra is None else base + count * extra


def size_of(machine: str) -> Machine | None:
    """Cores and GiB of a machine type, where they are known."""
    sizes = (size for by_count in MACHINES.values() for machines in by_count.values() for size in machines)
    return next((size for size in sizes if size[0] == machine), None)


def region_prices(settings: VertexSettings, file: Path | None) -> PriceList:
    """Of the region that the settings name. file: as of :func:`load_prices`, which says what is raised."""
    table, region = load_prices(file), settings.region

    def machine(spec: ModelSpec, step: str) -> tuple[str, float | None]:
        """The type that the spec names, else the smallest that has what the spec asks for."""
        (field, resources), options = requested_resources(spec, step), spec.steps.of(step)
        machine = options.machine_type or machine_for(resources, field, f"steps.{step}.machine_type")
        accelerator = resources.accelerator
        kind, count = (accelerator.type, accelerator.count) if accelerator else ("", 0)
        return machine, table.hour(region, machine, kind, count, options.spot)

    notes = () if region else ("vertex.region is not set, and prices differ by region",)
    return PriceList(table.currency, table.read, table.run, region, notes, machine)


def load_prices(file: Path | None) -> Prices:
    """The table of the project, and the user's own ``file``, whose regions and run fee go before it.

    Raises InputError for a file that is missing or of another form.
    """
    published = _read(TABLE)
    if file is None:
        return published
    private = _read(file)
    if private.currency != published.currency:
        return private
    run = published.run if private.run is None else private.run
    return private.model_copy(update={"regions": {**published.regions, **private.regions}, "run": run})


def _read(path: Path) -> Prices:
    try:
        return Prices.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"setting prices: {path} can't be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"setting prices: {path} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"setting prices: {path}: {field}: {first['msg']} (got {first['input']!r})") from error
