"""The command that compares live inputs with the training data of the live version."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.base import app, open_model
from pipelines.commands.options import AsJson, Model
from training.errors import GateRefused, InputError, OstinatoError
from training.folder import model_folder

if TYPE_CHECKING:
    from components.drift.steps import Watched
    from pipelines.settings.settings import Workspace
    from training.spec import ModelSpec


@app.command(
    epilog="Examples: ostinato drift demand-forecaster; ostinato drift demand-forecaster --as-of 2019-06-03 --retrain; "
    "ostinato drift demand-forecaster --compile watch.yaml"
)
def drift(
    model: Model,
    as_of: Annotated[str, typer.Option(help="ISO date or time: windows that ended by then. Now unless given.")] = "",
    source: Annotated[
        str | None, typer.Option(help="Table or request log (.jsonl) of recent inputs instead of the spec's.")
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="When a training is asked for, run it here.")] = False,
    compile_: Annotated[
        Path | None, typer.Option("--compile", help="Write the pipeline of the watch (kfp v2 IR) to this file instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Whether live inputs have drifted from the training data so far that the model is to be trained again.

    Exit code 0 whether a training is asked for or not, 3 when the newest data is bad.
    """
    workspace, spec = open_model(model)
    if compile_ is not None:
        if as_of or source or retrain or as_json:
            raise InputError("--compile writes a package, and takes no other option")
        from pipelines.drift_watch import compile_drift_watch

        compile_.write_text(compile_drift_watch(spec, workspace.image), encoding="utf-8")
        print(f"wrote {compile_}")
        return
    from components.drift.engine import refuse_bad_data
    from components.drift.steps import watch
    from pipelines.run import data_uri

    folder = model_folder(workspace.root, model)
    codes: list[int] = []

    def train(watched: "Watched") -> str:
        run, code = _train(workspace, spec, watched)
        codes.append(code)
        return f"run {run}" + (", checks failed" if code else "")

    uri = data_uri(workspace, spec, source) if source else ""
    watched = watch(spec, workspace.connect(), folder, as_of, uri, train if retrain else None)
    print(
        json.dumps(asdict(watched), indent=2, default=lambda end: end.isoformat()) if as_json else render_watch(watched)
    )
    refuse_bad_data(watched)
    if any(codes):
        raise GateRefused(f"checks failed: {model}, which the watch asked for; see above")


def _train(workspace: "Workspace", spec: "ModelSpec", watched: "Watched") -> tuple[str, int]:
    """The whole run, on the rows up to the end of the newest window: its id and exit code, 0 or the gate's.

    In a process of its own: the engine forks its steps, which a process that has used Polars must not.
    Raises OstinatoError if the run fails.
    """
    command = [sys.executable, "-m", "pipelines.cli", "run", spec.name, "--json"]
    if getattr(spec.data, "time", None):
        command += ["--param", f"as_of={watched.window}"]
    ended = subprocess.run(command, cwd=workspace.root, stdout=subprocess.PIPE, text=True)
    if ended.returncode not in (0, GateRefused.exit_code) or not ended.stdout:
        raise OstinatoError(f"the training that the watch asked for failed, exit code {ended.returncode}; see above")
    return json.loads(ended.stdout)["run"], ended.returncode


def render_watch(watched: "Watched") -> str:
    """A line a window, and the decision."""
    from rich.markup import escape

    from pipelines.wording import plain_table, render

    colours = {"drift": "yellow", "no drift": "green", "bad data": "bold red", "too few rows": "dim"}
    table = plain_table("window ended", "rows", "bad", "drifted", "finding", "")
    for window in watched.windows:
        shares = (f"{window.bad:.1%}", f"{window.share:.0%}")
        finding = f"[{colours[window.finding]}]{window.finding}[/]"
        table.add_row(f"{window.end:%Y-%m-%d %H:%M}", str(window.rows), *shares, finding, escape(window.reason))
    lines = [f"{watched.model} version {watched.version}", render(table).rstrip("\n") if watched.windows else ""]
    lines += [f"{watched.decision}: {watched.reason}", watched.answer]
    return "\n".join(line for line in lines if line)
