"""Windows of time: whole multiples of their length, so that a watch that runs again sees the same ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_MONDAY = datetime(1970, 1, 5)


@dataclass(frozen=True)
class Window:
    """From its start to just before its end; UTC, or local times as the data has them."""

    start: datetime
    end: datetime


def newest_windows(as_of: datetime, length: timedelta, count: int, not_before: datetime | None) -> list[Window]:
    """The last ``count`` windows that ended by ``as_of``, oldest first; none that starts before ``not_before``."""
    last = FIRST_MONDAY + ((as_of - FIRST_MONDAY) // length) * length
    windows = [Window(last - (back + 1) * length, last - back * length) for back in reversed(range(count))]
    return [window for window in windows if not_before is None or window.start >= not_before]
