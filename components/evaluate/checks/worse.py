"""A relative change in words."""

import math

from delivery.documents.numbers import percent


def format_worse(value: float) -> str:
    """``-0.046`` as "4.6 % better"."""
    if math.isinf(value):
        return "infinitely better" if value < 0 else "infinitely worse (the other is perfect)"
    return "equal" if value == 0 else f"{percent(abs(value))} {'better' if value < 0 else 'worse'}"


def worse_allowed(margin: float) -> str:
    """What a margin allows or demands."""
    if margin < 0:
        return f"at least {percent(-margin)} better is demanded"
    return f"at most {percent(margin)} worse is allowed" if margin > 0 else "no worse is allowed"
