"""Inline SVG for the report page. Colours are CSS classes of the page, so that charts follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from delivery.documents.numbers import short


@dataclass
class Plot:
    """A rectangle of data coordinates inside an SVG."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 1000
    height: int = 240
    left: int = 56
    right: int = 16
    top: int = 12
    bottom: int = 28
    marks: list[Markup] = field(default_factory=list)

    def at_x(self, value: float) -> float:
        low, high = self.x
        return round(self.left + (value - low) / (high - low) * (self.width - self.left - self.right), 1)

    def at_y(self, value: float) -> float:
        low, high = self.y
        return round(
            self.height - self.bottom - (value - low) / (high - low) * (self.height - self.top - self.bottom), 1
        )

    def add(self, text: str, *values: object) -> None:
        """Append markup; values are escaped."""
        self.marks.append(Markup(text).format(*values))

    def line(self, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray, style: str) -> None:
        points = " ".join(f"{self.at_x(float(x))},{self.at_y(float(y))}" for x, y in zip(xs, ys, strict=True))
        self.add('<polyline class="line {}" points="{}"/>', style, points)

    def rule(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        self.add('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>', style, x1, y1, x2, y2)

    def text(self, x: float, y: float, text: str, anchor: str = "middle", style: str = "tick") -> None:
        self.add('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>', style, x, y, anchor, text)

    def axes(self, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]) -> None:
        for value, label in x_ticks:
            self.rule(self.at_x(value), self.top, self.at_x(value), self.height - self.bottom, "grid")
            self.text(self.at_x(value), self.height - self.bottom + 17, label)
        for value, label in y_ticks:
            self.rule(self.left, self.at_y(value), self.width - self.right, self.at_y(value), "grid")
            self.text(self.left - 7, self.at_y(value) + 4, label, "end")

    def svg(self, label: str) -> Markup:
        head = Markup('<svg viewBox="0 0 {} {}" style="max-width:{}px" role="img" aria-label="{}">')
        body = Markup("").join(self.marks)
        return head.format(self.width, self.height, self.width, label) + body + Markup("</svg>")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high]."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def span(values: Sequence[float], *, pad: float = 0.06) -> tuple[float, float]:
    """Range of the values with some air; never empty."""
    low, high = min(values), max(values)
    air = (high - low) * pad or abs(high) * 0.1 or 1.0
    return low - air, high + air


@dataclass(frozen=True)
class Whisker:
    """A point with its interval, in one row of an interval plot."""

    label: str
    style: str
    value: float
    low: float | None
    high: float | None
    shown: str
    """The numbers in words, at the right."""


def interval_plot(rows: Sequence[Whisker], label: str, *, zero: bool = False, suffix: str = "") -> Markup:
    """A row each: point and whisker. ``zero`` draws the line of no change."""
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None]
    low, high = span([*ends, 0.0] if zero else ends)
    plot = Plot((low, high), (0, 1), height=40 + 30 * len(rows), left=150, right=230, top=6, bottom=26)
    plot.axes([(tick, f"{short(tick)}{suffix}") for tick in ticks(low, high, 4)], [])
    if zero:
        plot.rule(plot.at_x(0), plot.top, plot.at_x(0), plot.height - plot.bottom, "zero")
    for i, row in enumerate(rows):
        y = plot.top + 19 + 30 * i
        plot.text(plot.left - 14, y + 4, row.label, "end", "label")
        if row.low is not None and row.high is not None:
            plot.rule(plot.at_x(row.low), y, plot.at_x(row.high), y, f"whisker {row.style}")
            for end in (row.low, row.high):
                plot.rule(plot.at_x(end), y - 5, plot.at_x(end), y + 5, f"whisker {row.style}")
        plot.add('<circle class="dot {}" cx="{}" cy="{}" r="4.5"/>', row.style, plot.at_x(row.value), y)
        plot.text(plot.width - plot.right + 14, y + 4, row.shown, "start", "value")
    return plot.svg(label)


@dataclass(frozen=True)
class TimeMeans:
    """Means of buckets of equal duration: start of each (buckets,) datetime64[us], and a series a name (buckets,)."""

    starts: np.ndarray
    step_hours: float
    series: dict[str, np.ndarray]


def time_chart(means: TimeMeans, names: Sequence[str], label: str, height: int = 240) -> Markup:
    """A line a series over time, in the order of the names (the last on top)."""
    xs = means.starts.astype("int64").astype(float)
    values = [float(v) for name in names for v in means.series[name]]
    low, high = span(values)
    low = 0.0 if min(values) >= 0 and low < 0.25 * high else low
    plot = Plot((float(xs[0]), float(xs[-1])), (low, high), height=height)
    days = means.step_hours * len(xs) / 24
    form = "%H:%M" if days < 2 else "%d %b" if days < 200 else "%b %Y"
    at = [xs[round(k * (len(xs) - 1) / 5)] for k in range(6)]
    stamps = [means.starts[round(k * (len(xs) - 1) / 5)].item() for k in range(6)]
    labels = [(float(x), stamp.strftime(form)) for x, stamp in zip(at, stamps, strict=True)]
    plot.axes(labels[1:-1], [(tick, short(tick)) for tick in ticks(low, high, 4)])
    for name in names:
        plot.line(xs, means.series[name], name)
    return plot.svg(label)


def square_chart(
    lines: Sequence[tuple[str, np.ndarray, np.ndarray]], label: str, x_title: str, y_title: str, *, dots: bool = False
) -> Markup:
    """Lines in the unit square with its diagonal: ROC curves and calibration. A line is (style, x, y)."""
    plot = Plot((0, 1), (0, 1), width=350, height=330, left=50, right=10, bottom=44)
    marks = [(k / 5, f"{k / 5:.1f}") for k in range(6)]
    plot.axes(marks, marks)
    plot.line([0, 1], [0, 1], "diagonal")
    for style, xs, ys in lines:
        plot.line(xs, ys, style)
        for x, y in zip(xs, ys, strict=True) if dots else ():
            plot.add('<circle class="dot {}" cx="{}" cy="{}" r="3"/>', style, plot.at_x(float(x)), plot.at_y(float(y)))
    _titles(plot, x_title, y_title)
    return plot.svg(label)


def scatter_chart(actual: np.ndarray, predicted: np.ndarray, label: str, unit: str) -> Markup:
    """Predicted against actual with the line of perfect predictions."""
    low, high = span([float(v) for v in (*actual, *predicted)], pad=0.03)
    plot = Plot((low, high), (low, high), width=460, height=400, left=64, right=10, bottom=44)
    marks = [(tick, short(tick)) for tick in ticks(low, high)]
    plot.axes(marks, marks)
    plot.line([low, high], [low, high], "diagonal")
    for x, y in zip(actual, predicted, strict=True):
        plot.add('<circle class="speck" cx="{}" cy="{}" r="2.2"/>', plot.at_x(float(x)), plot.at_y(float(y)))
    suffix = f", {unit}" if unit else ""
    _titles(plot, f"actual{suffix}", f"predicted{suffix}")
    return plot.svg(label)


def _titles(plot: Plot, x_title: str, y_title: str) -> None:
    middle = (plot.top + plot.height - plot.bottom) / 2
    plot.text((plot.left + plot.width - plot.right) / 2, plot.height - 6, x_title, style="label")
    rotated = '<text class="label" transform="translate(13 {}) rotate(-90)" text-anchor="middle">{}</text>'
    plot.add(rotated, middle, y_title)
