"""The kinds of check that a spec can name, a row each.

How a kind is evaluated and worded is in the file of the same name in ``components/evaluate/checks``, and its row in the
``kinds.py`` there: a spec is read by every step, and a reworded reason must not train a model again.
"""

from typing import Annotated, get_args

from pydantic import Field

from training.spec.checks.answer_bounds import ForbiddenCheck, FormatCheck, LengthCheck, RefusalCheck
from training.spec.checks.drift_bound import DriftCheck
from training.spec.checks.judge_bound import JudgeCheck
from training.spec.checks.metric_bounds import AbsoluteCheck, RelativeCheck
from training.spec.checks.serving_bounds import (
    ColdStartCheck,
    FirstTokenCheck,
    LatencyCheck,
    ServableCheck,
    SizeCheck,
    ThroughputCheck,
)
from training.spec.checks.slice_bounds import SliceCheck

AnyCheck = (
    AbsoluteCheck
    | RelativeCheck
    | SliceCheck
    | DriftCheck
    | LatencyCheck
    | ColdStartCheck
    | SizeCheck
    | ServableCheck
    | FormatCheck
    | ForbiddenCheck
    | LengthCheck
    | RefusalCheck
    | FirstTokenCheck
    | ThroughputCheck
    | JudgeCheck
)
Check = Annotated[AnyCheck, Field(discriminator="kind")]
CHECKS = get_args(AnyCheck)
KINDS = tuple(kind for check in CHECKS for kind in get_args(check.model_fields["kind"].annotation))
"""As a spec writes them."""
