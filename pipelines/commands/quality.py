"""The command that tells reviewers of code which checks failed."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import app


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
    from pipelines.judged_runs import check_judged, read_result
    from training.errors import InputError

    if commit and not pull_request:
        raise InputError("--commit goes with --pull-request, which says where it is")
    judged = [read_result(path) for path in results or []]
    print(write_comment(pull_request, judged, commit, details) if pull_request else render_comment(judged, details))
    check_judged(judged)
