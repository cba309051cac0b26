"""Commands of CI systems: what a change is about, and which checks of it failed."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from pipelines.commands.base import app
from pipelines.commands.options import AsJson
from training.errors import GateRefused, InputError, OstinatoError
from training.folder import workspace_root

if TYPE_CHECKING:
    from delivery.releases.code_comment import Judged

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


@app.command(
    epilog="Examples: ostinato comment results/*.json; "
    "ostinato comment results/*.json --pull-request https://github.com/example/models/pull/12 --commit $SHA"
)
def comment(
    results: Annotated[
        list[Path] | None, typer.Argument(help="MODEL.json: what `ostinato run MODEL --until evaluate --json` printed.")
    ] = None,
    pull_request: Annotated[str, typer.Option(help="Address of the pull request; unless given, print the text.")] = "",
    commit: Annotated[str, typer.Option(help="Set the status of this commit, too.")] = "",
    details: Annotated[str, typer.Option(help="Address of the log.")] = "",
) -> None:
    """Write the checks of a pull request's models into one comment of it; end with 3 where one failed."""
    from delivery.releases.code_comment import render_comment, write_comment

    if commit and not pull_request:
        raise InputError("--commit goes with --pull-request, which says where it is")
    judged = [read_result(path) for path in results or []]
    print(write_comment(pull_request, judged, commit, details) if pull_request else render_comment(judged, details))
    check_judged(judged)


def read_result(path: Path) -> "Judged":
    """The verdict in a file ``MODEL.json``; none where the file is empty, since the run did not finish.

    Raises InputError for a file that is missing, or holds something else.
    """
    from delivery.documents.verdict import Verdict
    from delivery.releases.code_comment import Judged

    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    if not content.strip():
        return Judged(path.stem, None)
    try:
        document = json.loads(content)
        model, verdict = document["model"], document["verdict"]
        return Judged(model, Verdict.model_validate(verdict) if verdict else None)
    except (json.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        raise InputError(f"{path} is not what `ostinato run MODEL --until evaluate --json` prints: {error}") from error


def check_judged(judged: "Sequence[Judged]") -> None:
    """Raises OstinatoError for a run without a verdict, else GateRefused where checks failed."""
    broken = [result.model for result in judged if not result.verdict]
    refused = [result.model for result in judged if result.verdict and result.verdict.decision == "reject"]
    if broken:
        raise OstinatoError(f"no verdict about {', '.join(broken)}: the run did not finish; see its log")
    if refused:
        raise GateRefused(f"checks failed: {', '.join(refused)}")
