"""The part of a spec that says how a backend runs each step."""

from typing import Annotated

from pydantic import ConfigDict, Field

from training.spec.resources import StepResources
from training.spec.section import Duration, Section


class Step(Section):
    """How a backend runs a step."""

    spot: bool = False
    """On a machine that may be taken away, for less money; set `retries` as well."""
    machine_type: Annotated[str, Field(pattern=r"^([a-z][a-z0-9]*(-[a-z0-9]+)+)?$")] = ""
    """Of Vertex AI, such as `n1-highmem-8`; chosen by the resources unless given."""
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    """How often a step that failed is run again. Kubeflow Pipelines 2.17.0 does that only where the pod was lost, not
    where the code failed, unless its workflow defaults have a `retryPolicy` of `Always`."""
    retry_delay: Duration = "1m"
    """Before the first of them; it doubles each time."""


class SizedStep(Step):
    """How a backend runs a step whose effects are looked up before they are made, so that it is never cached."""

    resources: StepResources | None = None
    """What the container asks for; the backend's usual unless given."""


class CachedStep(SizedStep):
    """How a backend runs a step that an earlier run may answer."""

    cache: bool = True
    """Whether an earlier run with equal inputs and equal code answers."""


class TrainStep(Step):
    """How a backend runs the training; its size is `training.resources`."""

    cache: bool = True
    """Whether an earlier run with equal inputs and equal code answers."""


class StepsSpec(Section):
    """How a backend runs each step."""

    # The metaclass of pydantic's models has a method `register`, which a field may not be named like.
    model_config = ConfigDict(serialize_by_alias=True)

    preflight: SizedStep = SizedStep()
    """Tries every connection that a later step needs, beside `preprocess`."""
    preprocess: CachedStep = CachedStep()
    train: TrainStep = TrainStep()
    champion: SizedStep = SizedStep()
    evaluate: CachedStep = CachedStep()
    register_: Annotated[SizedStep, Field(alias="register")] = SizedStep()
    deploy: SizedStep = SizedStep()

    def of(self, step: str) -> Step:
        """How the step of that name is run."""
        return getattr(self, "register_" if step == "register" else step)
