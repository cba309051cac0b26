"""The command of CI systems: what a change is about."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.commands.base import AsJson, app
from training.errors import InputError
from training.folder import workspace_root

SHOWN = 4
"""Files named in a line."""


@app.command(epilog="Examples: ostinato affected origin/main...HEAD; ostinato affected HEAD^..HEAD --names")
def affected(
    commits: Annotated[str, typer.Argument(metavar="BASE..HEAD", help="A range of commits; 0..HEAD for all of them.")],
    until: Annotated[str, typer.Option(help="Only models of which something changes up to this step.")] = "deploy",
    names: Annotated[bool, typer.Option("--names", help="Print names only, and none that was removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Name the models that a change affects, from which step on, and by which files."""
    from pipelines.package.affected import REMOVED
    from pipelines.package.affected import affected as find
    from pipelines.step_names import STEPS, check_step

    if names and as_json:
        raise InputError("give one of --names and --json")
    steps = STEPS[: STEPS.index(check_step(until)) + 1]
    span, found = find(workspace_root(), commits)
    found = [one for one in found if one.step in steps or (one.step == REMOVED and not names)]
    if span.dirty:
        print("changes that are not committed are not looked at", file=sys.stderr)
    if as_json:
        models = [{**asdict(one), "retrain": one.retrain} for one in found]
        print(json.dumps({"base": span.base, "head": span.head, "models": models}, indent=2))
        return
    for one in found:
        if names:
            print(one.model)
            continue
        more = f" and {len(one.paths) - SHOWN} more" if len(one.paths) > SHOWN else ""
        why = "; ".join(filter(None, [one.note, ", ".join(one.paths[:SHOWN]) + more]))
        print(f"{one.model}  {one.step}{' on' if one.step != REMOVED else ''}: {why}")
    if not found and not names:
        print("no model is affected")
