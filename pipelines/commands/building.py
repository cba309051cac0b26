"""Commands that build a version: a run, its package and page, and what a run starts from."""

import contextlib
import json
import shutil
import sys
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.base import app, open_model, open_workspace, testset
from pipelines.commands.options import AnyBackend, AnyModel, AsJson, Model, Parameters, ReleaseOption, Set, Until
from training.errors import InputError
from training.folder import model_names, workspace_root

if TYPE_CHECKING:
    from pipelines.run import Finished
    from pipelines.settings.settings import Workspace


@app.command(epilog="Examples: ostinato run demand-forecaster; ostinato run demand-forecaster --param as_of=2018-06-01")
def run(
    model: Model,
    data: Annotated[str | None, typer.Option(help="File, directory, glob or URI instead of the spec's source.")] = None,
    until: Until = "deploy",
    param: Parameters = None,
    release: ReleaseOption = None,
    resume: Annotated[str | None, typer.Option(help="Id of a run that did not finish: go on from there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole pipeline here, from the same compiled package that the clusters get."""
    from pipelines.progress import Progress
    from pipelines.run import run_model
    from pipelines.wording import format_run

    workspace = open_workspace()
    with Progress(sys.stderr, model) as progress, notified_of_failure(workspace, model):
        finished = run_model(
            workspace,
            model,
            data=data,
            until=until,
            parameters=parse_parameters(param or []),
            release=release,
            resume=resume,
            on_event=progress.show,
        )
    if as_json:
        document = asdict(finished.summary) | {"verdict": finished.verdict and finished.verdict.model_dump(mode="json")}
        print(json.dumps(document, indent=2))
    else:
        print(format_run(finished))
    if finished.refusal or finished.summary.version:
        notify_of_run(workspace, finished)
    if finished.refusal:
        raise finished.refusal


@app.command(
    "compile",
    epilog="Examples: ostinato compile demand-forecaster -o package.yaml; ostinato compile llm-qa --training-job "
    "--backend kubeflow --data s3://runs/1/data --out s3://runs/1/model -o job.yaml",
)
def compile_(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    until: Annotated[str, typer.Option(help="Last step of the package.")] = "deploy",
    backend: AnyBackend = "local",
    training_job: Annotated[
        bool, typer.Option("--training-job", help="The train step alone, on training.workers machines.")
    ] = False,
    data: Annotated[str | None, typer.Option(help="With --training-job: URI of what preprocess wrote.")] = None,
    out: Annotated[str | None, typer.Option(help="With --training-job: URI for the model folder.")] = None,
    machine_type: Annotated[
        str | None, typer.Option(help="With --training-job on vertex: instead of the smallest that fits.")
    ] = None,
    set_: Set = None,
) -> None:
    """Write the model's pipeline package (kfp v2 IR). Equal input gives equal bytes."""
    from pipelines.package.package import package_file
    from pipelines.step_names import check_step

    workspace, spec = open_model(model, set_)
    if not output.parent.is_dir():
        raise InputError(f"--output {str(output)!r}: the folder {output.parent} does not exist")
    if training_job:
        from pipelines.backends.table import find_backend
        from pipelines.backends.training_job import training_job_text

        if until != "deploy":
            raise InputError("--until is of a package, and --training-job is the train step alone; leave one out")
        text = training_job_text(find_backend(backend), spec, workspace.image, data, out, machine_type)
        output.write_text(text, encoding="utf-8")
    elif data or out or machine_type:
        raise InputError("--data, --out and --machine-type go with --training-job")
    else:
        package = package_file(
            workspace.root,
            spec,
            image=workspace.image,
            cache=workspace.packages,
            settings=workspace.settings,
            until=check_step(until),
            backend=backend,
        )
        shutil.copyfile(package, output)
    print(f"wrote {output}")


@app.command(epilog="Example: ostinato report; ostinato report demand-forecaster-20260101-120000-ab12")
def report(run: Annotated[str | None, typer.Argument(help="Id of a run; the newest unless given.")] = None) -> None:
    """Name the page of a run, and open it where there is a desktop."""
    from pipelines.pages import PAGE
    from pipelines.run import find_run

    workspace = open_workspace()
    page = workspace.runs / find_run(workspace, run) / PAGE
    if not page.is_file():
        raise InputError(f"{page} does not exist: that run was stopped; finish it with: ostinato run MODEL --resume ID")
    print(page)
    if sys.stdout.isatty():
        typer.launch(str(page))


@app.command(epilog="Example: ostinato validate demand-forecaster")
def validate(model: AnyModel = None) -> None:
    """Check spec, model code, data contract and manifest without running anything."""
    from pipelines.scaffold.validate import validate_model

    workspace = open_workspace()
    for name in [model] if model else model_names(workspace.root):
        for line in validate_model(workspace, name):
            print(f"{name}: {line}")


@app.command(epilog="Example: ostinato schema > spec.schema.json")
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="The reference in words instead.")] = False,
) -> None:
    """Print the JSON Schema of spec.yaml."""
    from training.spec import json_schema
    from training.spec.reference import reference

    print(reference().rstrip("\n") if markdown else json.dumps(json_schema(), indent=2))


@app.command(epilog="Example: ostinato new churn --task classification --data churn.csv --target left --key customer")
def new(
    name: Annotated[str, typer.Argument(help="Name of the new model: lower-case letters, digits, hyphens.")],
    task: Annotated[str, typer.Option(help="regression, classification or generation.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Your CSV or Parquet file, else a small real data set; for generation a JSONL file."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    time: Annotated[str | None, typer.Option(help="Column that orders the rows: split by time.")] = None,
    key: Annotated[str | None, typer.Option(help="Column that identifies a row: split by its hash.")] = None,
) -> None:
    """Make a new model folder that runs at once."""
    from pipelines.scaffold.table import check_task, create_model

    folder = create_model(workspace_root(), name, check_task(task), data, target, time, key)
    print(f"made {folder}\nnext: ostinato validate {name}, then ostinato run {name}")


@testset.command("rotate", epilog="Example: ostinato testset rotate demand-forecaster")
def rotate(
    model: Model,
    data: Annotated[str | None, typer.Option(help="File, directory, glob or URI instead of the spec's source.")] = None,
    as_of: Annotated[str, typer.Option(help="ISO date or time: pin as if on that day.")] = "",
) -> None:
    """Pin today's test side as the fixed test set and write it into spec.yaml."""
    from components.preprocess.rotate import rotate
    from pipelines.run import data_uri

    workspace, spec = open_model(model)
    pinned = rotate(workspace.root, model, data_uri(workspace, spec, data), as_of)
    replaced = f", in place of the one of {pinned.replaced.pinned_on}" if pinned.replaced else ""
    print(f"pinned {pinned.rows} test rows at {pinned.path}{replaced}\nsha256 {pinned.sha256}, written into spec.yaml")


@contextlib.contextmanager
def notified_of_failure(workspace: "Workspace", model: str) -> Generator[None]:
    """Tell of a step that fails in the block."""
    from pipelines.backends.local import StepFailed

    try:
        yield
    except StepFailed as failed:
        from pipelines.notifications.notice import notice_of
        from pipelines.notifications.tell import tell_and_warn

        folder = failed.result.run_dir
        tell_and_warn(
            workspace, notice_of("failed", model, folder.name, message=str(failed), links=(("log", str(folder)),))
        )
        raise


def notify_of_run(workspace: "Workspace", finished: "Finished") -> None:
    """Tell of a refusal or a release, where somebody is to be told."""
    from pipelines.notifications.notice import notice_of
    from pipelines.notifications.tell import tell_and_warn

    summary = finished.summary
    links = (("report", summary.page), ("pull request", summary.pull_request))
    kind, message = ("refused", "") if finished.refusal else ("released", summary.note)
    notice = notice_of(
        kind, summary.model, summary.run, finished.verdict, version=summary.version, message=message, links=links
    )
    tell_and_warn(workspace, notice)


def parse_parameters(given: list[str]) -> dict[str, str]:
    """``name=value`` pairs. Raises InputError for anything else, and for a name given twice."""
    parameters: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"--param {text!r} is not name=value; write for example --param as_of=2018-06-01")
        if name in parameters:
            raise InputError(f"--param {name} is given twice: {parameters[name]} and {value}")
        parameters[name] = value
    return parameters
