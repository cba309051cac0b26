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
    span, models = find(workspace_root(), commits)
    models = [model for model in models if model.step in steps or (model.step == REMOVED and not names)]
    if span.dirty:
        print("changes that are not committed are not looked at", file=sys.stderr)
    if as_json:
        rows = [{**asdict(model), "retrain": model.retrain} for model in models]
        print(json.dumps({"base": span.base, "head": span.head, "models": rows}, indent=2))
        return
    for model in models:
        if names:
            print(model.model)
            continue
        more = f" and {len(model.paths) - SHOWN} more" if len(model.paths) > SHOWN else ""
        why = "; ".join(filter(None, [model.note, ", ".join(model.paths[:SHOWN]) + more]))
        print(f"{model.model}  {model.step}{' on' if model.step != REMOVED else ''}: {why}")
    if not models and not names:
        print("no model is affected")
