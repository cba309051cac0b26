"""The part of a spec that says when live inputs are so far from the training data that the model is trained again."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.spec.section import Duration, Section, Share


class DriftWatchSpec(Section):
    """What `ostinato drift` compares with the training data of the live version, and when it asks for a training."""

    source: str = ""
    """Recent live inputs: a table as in `data.source`, or a request log, `.jsonl`. `data.source` unless given."""
    window: Duration = "1w"
    """Length of a window. Windows do not overlap, and end at whole multiples of it, counted from Monday, 1970-01-05."""
    windows: Annotated[int, Field(ge=1, le=52)] = 4
    """How many of the newest windows are looked at."""
    drifted: Annotated[int, Field(ge=1, le=52)] = 3
    """How many of them must have drifted, the newest among them."""
    min_rows: Annotated[int, Field(ge=2)] = 50
    """A window with fewer rows says nothing."""
    columns: tuple[str, ...] = ()
    """Inputs of the model that are compared; all that can be, unless given."""
    baseline: Literal["season", "all"] = "season"
    """`season` compares a window with the training rows around the same day of other years, for rows that have a time;
    `all` with all training rows."""
    threshold: Annotated[float, Field(gt=0)] = 0.1
    """Smallest drift score that can count as drift, however little the training data's own windows differ."""
    false_alarm: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Share of the training data's own windows that may score as drift: it sets each column's threshold."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Share of the columns that must drift for the window to have drifted."""
    max_bad: Share = 0.02
    """Largest share of rows that break `data.columns`; above it the window is bad data, which nothing is trained on."""
    cool_down: Duration = "4w"
    """Shortest time between two requests for a training."""
    budget: Annotated[int, Field(ge=1, le=31)] = 1
    """Requests for a training in a calendar month, at most."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.drifted > self.windows:
            raise ValueError(f"drifted is {self.drifted}, more than the {self.windows} windows that are looked at")
        return self
