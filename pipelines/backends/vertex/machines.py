"""The smallest machine type of Google Cloud that has what a training asks for.

As cloud.google.com/vertex-ai/docs/training/configure-compute and cloud.google.com/compute/docs/gpus list them;
compare before relying on a size. Types of one row differ in size; each is (name, vCPUs, GiB).
"""

from decimal import Decimal

from delivery.kserve.quantities import amount
from training.errors import InputError, did_you_mean
from training.spec import Resources

Machine = tuple[str, int, Decimal]


def _row(family: str, per_core: str, *cores: int) -> list[Machine]:
    return [(f"{family}-{count}", count, Decimal(per_core) * count) for count in cores]


_N1 = sorted(
    [*_row("n1-standard", "3.75", 4, 8, 16, 32, 64, 96), *_row("n1-highmem", "6.5", 4, 8, 16, 32, 64, 96)],
    key=lambda machine: (machine[1], machine[2]),
)
_G2 = {1: _row("g2-standard", "4", 4, 8, 12, 16, 32), 2: _row("g2-standard", "4", 24)}
_G2 |= {4: _row("g2-standard", "4", 48), 8: _row("g2-standard", "4", 96)}
_A100 = {n: [(f"a2-highgpu-{n}g", 12 * n, Decimal(85 * n))] for n in (1, 2, 4, 8)}
_A100 |= {16: [("a2-megagpu-16g", 96, Decimal(1360))]}
_A100_80 = {n: [(f"a2-ultragpu-{n}g", 12 * n, Decimal(170 * n))] for n in (1, 2, 4, 8)}
_ON_N1: dict[int, list[Machine]] = {n: _N1 for n in (1, 2, 4)}

MACHINES: dict[str, dict[int, list[Machine]]] = {
    "": {0: _N1},
    "NVIDIA_TESLA_T4": _ON_N1,
    "NVIDIA_TESLA_P4": _ON_N1,
    "NVIDIA_TESLA_P100": _ON_N1,
    "NVIDIA_TESLA_V100": _ON_N1 | {8: _N1},
    "NVIDIA_L4": _G2,
    "NVIDIA_TESLA_A100": _A100,
    "NVIDIA_A100_80GB": _A100_80,
    "NVIDIA_H100_80GB": {8: [("a3-highgpu-8g", 208, Decimal(1872))]},
}
"""By accelerator as Vertex AI names it, "" for none, and how many of them; smallest machine first."""


def machine_for(resources: Resources, field: str = "training.resources", otherwise: str = "--machine-type") -> str:
    """The machine type.

    field: where the resources are asked for. otherwise: what else says the type. Raises InputError that names the field
    where there is none.
    """
    cores, gibibytes = amount(resources.cpu), amount(resources.memory) / 1024**3
    machines = machines_with(resources, field, otherwise)
    for name, has_cores, has_gibibytes in machines:
        if has_cores >= cores and has_gibibytes >= gibibytes:
            return name
    largest = machines[-1]
    raise InputError(
        f"{field}: cpu {resources.cpu} and memory {resources.memory} are more than the largest machine has "
        f"({largest[0]}: {largest[1]} vCPUs, {largest[2]} GiB); ask for less, or give {otherwise}"
    )


def machines_with(
    resources: Resources, field: str = "training.resources", otherwise: str = "--machine-type"
) -> list[Machine]:
    """Those with the accelerators, smallest first; arguments and errors as of :func:`machine_for`."""
    accelerator = resources.accelerator
    kind, count = (accelerator.type, accelerator.count) if accelerator else ("", 0)
    by_count = MACHINES.get(kind)
    if by_count is None:
        known = did_you_mean(kind, [name for name in MACHINES if name])
        raise InputError(
            f"{field}.accelerator.type: no machine type is known for {kind!r}. {known} Or give {otherwise}"
        )
    if count not in by_count:
        counts = ", ".join(map(str, by_count))
        raise InputError(f"{field}.accelerator.count: {kind} comes as {counts} on a machine, not as {count}")
    return by_count[count]
