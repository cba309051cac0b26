"""Kubernetes quantities in their canonical form, so that what is committed is what an API server gives back."""

import re
from decimal import ROUND_CEILING, Decimal

from training.spec import Resources

DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def canonical_quantity(text: str) -> str:
    """A quantity in Kubernetes' canonical form (apimachinery's resource.Quantity): 1.5 is 1500m, 1024Mi is 1Gi."""
    number, suffix = _parsed(text)
    if suffix in BINARY[1:]:
        number *= 1024 ** BINARY.index(suffix)
        if number >= 1024:
            return _largest_suffix(int(number.to_integral_value(ROUND_CEILING)), 1024, BINARY)
        suffix = ""
    nano = number * Decimal(1000) ** DECIMAL.index(suffix)
    return _largest_suffix(int(nano.to_integral_value(ROUND_CEILING)), 1000, DECIMAL)


def amount(text: str) -> Decimal:
    """A quantity as a number of cores or bytes."""
    number, suffix = _parsed(text)
    if suffix in BINARY[1:]:
        return number * 1024 ** BINARY.index(suffix)
    return number * Decimal(1000) ** (DECIMAL.index(suffix) - DECIMAL.index(""))


def _parsed(text: str) -> tuple[Decimal, str]:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(n|u|m|k|Ki|[MGTPE]i?)?", text)
    assert match, text
    return Decimal(match[1]), match[2] or ""


def quantities(resources: Resources) -> dict[str, str]:
    """What a container requests, and is limited to, by Kubernetes' resource name."""
    amounts = {"cpu": canonical_quantity(resources.cpu), "memory": canonical_quantity(resources.memory)}
    if resources.accelerator:
        amounts[resources.accelerator.type] = str(resources.accelerator.count)
    return amounts


def _largest_suffix(number: int, base: int, suffixes: tuple[str, ...]) -> str:
    """``number`` units of ``suffixes[0]`` with the largest suffix that leaves a whole number."""
    if number == 0:
        return "0"
    power = 0
    while number % base == 0 and power + 1 < len(suffixes):
        number //= base
        power += 1
    return f"{number}{suffixes[power]}"
