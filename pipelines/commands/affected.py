"""`ostinato affected`: which models a change retrains."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.commands.base import AsJson, app
from training.folder import workspace_root


@app.command(epilog="Examples: ostinato affected HEAD~1..HEAD; ostinato affected origin/main...HEAD --json")
def affected(
    commits: Annotated[str, typer.Argument(help="BASE..HEAD, or BASE...HEAD from what they have in common.")],
    as_json: AsJson = False,
) -> None:
    """Name the models whose folder, data contract or shared code changed: one a line, the reasons on stderr."""
    from pipelines.affected import affected_models

    found = affected_models(workspace_root(), commits)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return
    for one in found:
        shown = ", ".join(one.because[:3]) + (f" and {len(one.because) - 3} more" if len(one.because) > 3 else "")
        print(f"{one.model}: {'removed, nothing to train' if one.removed else shown}", file=sys.stderr)
        if not one.removed:
            print(one.model)
    if not found:
        print("no model is affected", file=sys.stderr)
