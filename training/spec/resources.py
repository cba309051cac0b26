"""What a container asks for: the part of a spec that training and serving share."""

from typing import Annotated

from pydantic import Field

from training.spec.kubernetes_rules import CpuQuantity, MemoryQuantity, ResourceName
from training.spec.section import Section


class Accelerator(Section):
    """A GPU for a served model."""

    type: ResourceName
    """The resource of Kubernetes, such as `nvidia.com/gpu`."""
    count: Annotated[int, Field(ge=1, le=16)] = 1


class Resources(Section):
    """What a container asks for. On a laptop the machine's own size decides."""

    cpu: CpuQuantity = "1"
    memory: MemoryQuantity = "2Gi"
    accelerator: Accelerator | None = None


class StepAccelerator(Accelerator):
    """A GPU for a step."""

    type: str
    """The backend's name for it: a Kubernetes resource such as `nvidia.com/gpu` (Kubeflow), or `NVIDIA_TESLA_T4`
    (Vertex AI)."""
    vertex_type: Annotated[str, Field(pattern=r"^([A-Z][A-Z0-9_]*)?$")] = ""
    """Vertex AI's name for it, such as `NVIDIA_L4`, where `type` is a Kubernetes resource: the model then trains on
    either backend."""


class StepResources(Resources):
    """What a step's container asks for. On a laptop the machine's own size decides."""

    accelerator: StepAccelerator | None = None
