"""Conversions that somebody forgets: from a unit that a column may come in to the one that the contract names."""

from dataclasses import dataclass

_NAMES = {"celsius": "degC", "°C": "degC", "fahrenheit": "degF", "°F": "degF", "kelvin": "K", "inches": "inch"}


@dataclass(frozen=True)
class Conversion:
    """wanted = factor * (given - offset)"""

    given: str
    factor: float
    offset: float = 0.0


_OF_UNIT = {
    "degC": (Conversion("degF", 5 / 9, 32), Conversion("K", 1, 273.15)),
    "degF": (Conversion("degC", 9 / 5, -160 / 9), Conversion("K", 9 / 5, 273.15 - 160 / 9)),
    "mm": (Conversion("inch", 25.4), Conversion("cm", 10), Conversion("m", 1000)),
    "m": (Conversion("foot", 0.3048), Conversion("cm", 0.01), Conversion("km", 1000)),
    "km": (Conversion("mile", 1.609344), Conversion("m", 0.001)),
    "kg": (Conversion("lb", 0.45359237), Conversion("g", 0.001)),
    "%": (Conversion("a share of one", 100),),
}
_OF_ANY = tuple(
    Conversion(name, factor)
    for name, factor in (
        ("a hundredth", 100),
        ("a thousandth", 1000),
        ("a hundred times", 1 / 100),
        ("a thousand times", 1 / 1000),
    )
)


def conversions(unit: str) -> tuple[Conversion, ...]:
    """What a column of the unit, such as `degC of the day`, may have come as by mistake."""
    first = unit.split()[0] if unit.split() else ""
    return (*_OF_UNIT.get(_NAMES.get(first, first), ()), *_OF_ANY)
