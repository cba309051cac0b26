"""Numbers for people."""

import math


def short(value: float) -> str:
    """Four significant digits, thousands separated: ``66.93``, ``0.8714``, ``12,345``; in words what is no number."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite" if value > 0 else "-infinite"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    return f"{value:.4g}"


def percent(share: float) -> str:
    """``0.046`` as ``4.6 %``: one decimal, two below 1 %, none where they are zero."""
    value = share * 100
    text = f"{value:,.2f}" if 0 < abs(value) < 1 else f"{value:,.1f}"
    return f"{text.rstrip('0').rstrip('.')} %"


def shortened(text: str, most: int = 120) -> str:
    """On one line, and cut with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
