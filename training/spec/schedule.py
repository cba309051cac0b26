"""The part of a spec that says when a model is trained without anybody asking."""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

from training.spec.section import Section

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def check_cron(text: str) -> str:
    """The five fields that every backend takes: of a nickname such as `@daily`, of five fields, or of six whose first,
    the second, is 0. A `?` is `*`. Raises ValueError for everything else, and for a time that never comes."""
    from cronsim import CronSim, CronSimError

    nickname = text.strip().lower()
    if nickname.startswith("@") and nickname not in NICKNAMES:
        raise ValueError(
            f"{text!r} is none of {', '.join(NICKNAMES)}; write minute, hour, day of month, month, weekday"
        )
    fields = NICKNAMES.get(nickname, text).split()
    if len(fields) == 6:
        second, *fields = fields
        if "=" in second:
            raise ValueError(f"{text!r} begins with a time zone; write it as schedule.time_zone")
        if second != "0":
            raise ValueError(
                f"{text!r} has six fields, of which the first is the second: it must be 0, since every backend starts "
                "runs at a full minute"
            )
    if len(fields) != 5:
        raise ValueError(
            f"{text!r} has {len(fields)} fields; write minute, hour, day, month, day of week: such as 0 3 * * 1"
        )
    # KFP's and Vertex AI's readers know neither.
    if "#" in text or any("L" in field.upper() for field in (fields[2], fields[4])):
        raise ValueError(f"{text!r} has L or #, which not every backend knows; write days as numbers")
    cron = " ".join("*" if field == "?" else field for field in fields)
    try:
        next(CronSim(cron, datetime.now(UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{text!r} is no cron expression, or its time never comes: {error}") from error
    return cron


def _check_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{text!r} is no time zone of the IANA database; write one such as Europe/Berlin") from error
    return text


class ScheduleSpec(Section):
    """When a backend runs the pipeline by itself, as soon as `ostinato schedule apply` has told it so."""

    cron: Annotated[str, AfterValidator(check_cron)]
    """Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday; names such as MON and JAN too).
    Or `@daily`, `@weekly`, `@monthly`, `@hourly`, `@yearly`. Six fields begin with the second, which is 0."""
    time_zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """Name in the IANA database, such as `Europe/Berlin`."""
