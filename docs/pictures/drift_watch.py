"""Draw what the drift watch would have done.

PYTHONPATH=tests python docs/pictures/drift_watch.py docs/images/drift-watch.svg
"""

import argparse
from datetime import datetime
from pathlib import Path

import polars as pl
from harness.nine_years import FIRST_TRAINED, WATCH, Week, asks, bikes, featured, watch
from markupsafe import Markup

from components.evaluate.shared.charts import Plot

LAST = datetime(2019, 9, 1)
STYLE = """<style>text{font:12px system-ui,sans-serif;fill:#444}.title{font-weight:600;font-size:13px}
.grid{stroke:#8883;stroke-width:1}.line{fill:none;stroke:#6b7a90;stroke-width:1.4}.rule{stroke:#b45309;
stroke-dasharray:4 4}.calm{fill:#9fb3c8}.drift{fill:#d97706}.ask{stroke:#b91c1c;stroke-width:2}.asked{fill:#b91c1c;
font-weight:600}@media(prefers-color-scheme:dark){text{fill:#ccc}.line{stroke:#9fb3c8}.calm{fill:#52667d}
.asked{fill:#f87171}.ask{stroke:#f87171}}</style>"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Walk nine years of rentals week by week, and draw the trainings.")
    parser.add_argument("picture", type=Path, help="SVG file to write")
    arguments = parser.parse_args()
    rows = featured(bikes())
    weeks = watch(rows, FIRST_TRAINED, LAST)
    arguments.picture.write_text(drawn(rows, weeks), encoding="utf-8")
    findings = [week.looked.seen.finding for week in weeks]
    counts = {finding: findings.count(finding) for finding in sorted(set(findings))}
    print(f"{len(weeks)} windows: {counts}; asked at {', '.join(f'{one:%Y-%m-%d}' for one in asks(weeks))}")


def drawn(rows: pl.DataFrame, weeks: list[Week]) -> str:
    """Rentals above, the share of drifted columns below, the trainings through both."""
    start = rows["ts"][0]
    daily = rows.group_by_dynamic("ts", every="1w").agg(pl.col("count").mean())[:-1]
    span = (stamp(start), stamp(LAST))
    years = [(stamp(datetime(year, 1, 1)), str(year)) for year in range(2011, 2020)]
    top = Plot(span, (0, 700), height=236, top=52)
    top.axes(years, [(value, str(value)) for value in (0, 200, 400, 600)])
    top.text(
        top.left, 18, "Rentals per hour, weekly mean, and the trainings that the watch asked for", "start", "title"
    )
    top.line([stamp(one) for one in daily["ts"]], daily["count"].to_list(), "rentals")
    below = Plot(span, (0, 1), height=190, top=34)
    below.axes(years, [(value, f"{value:.0%}") for value in (0, 0.5, 1)])
    below.text(below.left, 18, f"Share of {len(WATCH.columns)} inputs that drifted, a bar a week", "start", "title")
    below.rule(below.left, below.at_y(WATCH.share), below.width - below.right, below.at_y(WATCH.share), "rule")
    for week in weeks:
        seen = week.looked.seen
        height = below.at_y(0) - below.at_y(seen.share)
        style = "drift" if seen.finding == "drift" else "calm"
        bar = '<rect class="{}" x="{}" y="{}" width="2" height="{}"/>'
        below.add(bar, style, below.at_x(stamp(seen.end)), below.at_y(seen.share), round(height, 1))
    for at in [*asks(weeks), FIRST_TRAINED]:
        for plot in (top, below):
            plot.rule(plot.at_x(stamp(at)), plot.top, plot.at_x(stamp(at)), plot.height - plot.bottom, "ask")
    for at, one in enumerate([FIRST_TRAINED, *asks(weeks)]):
        label = "first training" if one == FIRST_TRAINED else f"{one:%d %b %Y}"
        top.text(top.at_x(stamp(one)) + 4, top.top - 4 + 13 * (at % 2) - 8, label, "start", "asked")
    body = Markup('<g>{}</g><g transform="translate(0 {})">{}</g>').format(
        Markup("").join(top.marks), top.height, Markup("").join(below.marks)
    )
    size = (top.width, top.height + below.height)
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{}">'
    said = "Weekly bike rentals from 2010 to 2019, drifted inputs, and trainings asked for"
    return str(Markup(head).format(*size, said) + Markup(STYLE.replace("\n", "")) + body) + "</svg>\n"


def stamp(moment: datetime) -> float:
    return moment.timestamp()


if __name__ == "__main__":
    main()
