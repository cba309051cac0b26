"""A plain Python `if` on what a step gives is refused while a pipeline is compiled.

It compiles otherwise, and is always true: a step's output is an object that stands for a value which is not there yet.
"""

import functools
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

from kfp.dsl import pipeline_channel

from training.errors import InputError

Given = ParamSpec("Given")
Made = TypeVar("Made")


def no_plain_if(pipeline: Callable[Given, Made]) -> Callable[Given, Made]:
    """The pipeline function, which raises InputError where it asks an output of a step, a parameter of the pipeline, or
    a comparison with one, for its truth. Stands between `dsl.pipeline` and the function: kfp compares them itself."""

    @functools.wraps(pipeline)
    def guarded(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        kinds: tuple[Any, ...] = (pipeline_channel.PipelineChannel, pipeline_channel.ConditionOperation)
        for kind in kinds:
            kind.__bool__ = _refuse
        try:
            return pipeline(*args, **kwargs)
        finally:
            for kind in kinds:
                del kind.__bool__

    return guarded


def _refuse(asked: Any) -> NoReturn:
    channel = asked.left_operand if isinstance(asked, pipeline_channel.ConditionOperation) else asked
    step, name = getattr(channel, "task_name", None), getattr(channel, "name", channel)
    what = f"the output {name!r} of step {step!r}" if step else f"the pipeline parameter {name!r}"
    raise InputError(
        f"the pipeline decides by a plain `if` on {what}, which has no value while it is compiled and would always be "
        "true; decide inside the step"
    )
