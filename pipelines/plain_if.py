"""A plain Python `if` on what a step gives is refused while a pipeline is compiled.

It compiles otherwise, and is always true: a step's output is an object that stands for a value which is not there yet.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

from kfp.dsl import pipeline_channel

from training.errors import InputError


@contextlib.contextmanager
def no_plain_if() -> Iterator[None]:
    """Raises InputError in the block where an output of a step, or a comparison with one, is asked for its truth."""

    def refuse(asked: Any) -> NoReturn:
        channel = asked.left_operand if isinstance(asked, pipeline_channel.ConditionOperation) else asked
        step, name = getattr(channel, "task_name", None), getattr(channel, "name", channel)
        what = f"the output {name!r} of step {step!r}" if step else f"the pipeline parameter {name!r}"
        raise InputError(
            f"the pipeline decides by a plain `if` on {what}, which has no value while it is compiled and would always "
            "be true; decide inside the step"
        )

    asked = (pipeline_channel.PipelineChannel, pipeline_channel.ConditionOperation)
    for kind in asked:
        kind.__bool__ = refuse  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        for kind in asked:
            del kind.__bool__  # pyright: ignore[reportAttributeAccessIssue]
