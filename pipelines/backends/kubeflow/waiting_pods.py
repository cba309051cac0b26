"""Why a pod does not start, as far as Kubernetes says it of the pod."""

from pydantic import BaseModel, Field

_STARTING = ("PodInitializing", "ContainerCreating")


class _Waiting(BaseModel):
    reason: str = ""
    message: str = ""


class _ContainerState(BaseModel):
    waiting: _Waiting = _Waiting()


class _PodContainer(BaseModel):
    state: _ContainerState = _ContainerState()


class _PodCondition(BaseModel):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class _PodStatus(BaseModel):
    conditions: list[_PodCondition] = []
    init_containers: list[_PodContainer] = Field([], alias="initContainerStatuses")
    containers: list[_PodContainer] = Field([], alias="containerStatuses")


class Pod(BaseModel):
    """What of a pod is read."""

    status: _PodStatus

    def cause(self) -> str:
        """Why it does not run; "" where that is not told."""
        for condition in self.status.conditions:
            if condition.type == "PodScheduled" and condition.status == "False":
                return f"it can't be scheduled: {condition.message or condition.reason}"
        for container in (*self.status.init_containers, *self.status.containers):
            waiting = container.state.waiting
            if waiting.reason and waiting.reason not in _STARTING:
                return ": ".join(part for part in (waiting.reason, waiting.message) if part)
        return ""


class _PodEvent(BaseModel):
    type: str = ""
    message: str = ""
    time: str | None = Field("", alias="lastTimestamp")


class PodEvents(BaseModel):
    """The events of a pod."""

    items: list[_PodEvent]

    def cause(self) -> str:
        """The newest warning, such as of a volume whose secret is missing; "" without one."""
        warnings = sorted((event.time or "", event.message) for event in self.items if event.type == "Warning")
        return warnings[-1][1] if warnings else ""
