"""The part of a spec that says when a model is trained without anybody asking."""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

from training.spec.section import Section


def check_cron(text: str) -> str:
    """The five fields themselves. Raises ValueError for another number of fields, or for one that never comes."""
    from cronsim import CronSim, CronSimError

    fields = text.split()
    if len(fields) != 5:
        hint = "; leave the seconds out, each backend gets its own form" if len(fields) == 6 else ""
        raise ValueError(
            f"{text!r} has {len(fields)} fields; write minute, hour, day of month, month, day of week: "
            f"such as 0 3 * * 1{hint}"
        )
    try:
        next(CronSim(text, datetime.now(UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{text!r} is no cron expression, or its time never comes: {error}") from error
    # KFP's and Vertex AI's readers know neither.
    if any(sign in text for sign in "L#?"):
        raise ValueError(f"{text!r} has L, # or ?, which not every backend knows; write days as numbers")
    return " ".join(fields)


def _check_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{text!r} is no time zone of the IANA database; write one such as Europe/Berlin") from error
    return text


class ScheduleSpec(Section):
    """When a backend runs the pipeline by itself, as soon as `ostinato schedule apply` has told it so."""

    cron: Annotated[str, AfterValidator(check_cron)]
    """Five fields: minute, hour, day of month, month, day of week (0 is Sunday)."""
    time_zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """Name in the IANA database, such as `Europe/Berlin`."""
