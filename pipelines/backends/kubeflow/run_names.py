"""What a run is called in Kubeflow's lists: model, day and trigger for people, and the end of our id to be found by.

Its API filters runs by a part of their names, and by no label.
"""

import re
from datetime import datetime

from pipelines.backends.remote import Submission

TRIGGER_LENGTH = 20
"""Characters of a trigger in a name."""


def display_name(submission: Submission, now: datetime) -> str:
    """`MODEL-DAY-TRIGGER-KEY`; of a submission without a key, whose id has the time in it, `MODEL-DAY-TIME-TRIGGER-ID`.

    now: in UTC.
    """
    head, last = _parts(submission.run)
    day = "" if re.search(r"-\d{8}-\d{6}$", head) else f"{now:%Y%m%d}"
    trigger = submission.labels.get("trigger", "")[:TRIGGER_LENGTH].strip("-_")
    return "-".join(part for part in (head, day, trigger, last) if part)


def search_text(run: str) -> str:
    """What every name of the run contains."""
    return _parts(run)[1]


def is_named(name: str, run: str) -> bool:
    """Whether a name is one of the run of this id, of whatever day and trigger; a name is also its own id."""
    head, last = _parts(run)
    start = f"{re.escape(head)}-" if head else ""
    return name == run or re.fullmatch(rf"{start}(\d{{8}}-)?([a-z0-9_-]+-)?{re.escape(last)}", name) is not None


def _parts(run: str) -> tuple[str, str]:
    head, _, last = run.rpartition("-")
    return head, last
