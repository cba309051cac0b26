"""`ostinato`: the command line. Each command is a thin face over a function that can be called without it."""

import json
import os
import shutil
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from training.errors import GateRefused, InputError, OstinatoError
from training.folder import model_names, model_spec, workspace_root

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it: 128 and the signal's number."""

app = typer.Typer(
    help="Continuous training: from new data to a served champion, exactly once, with the evidence.",
    epilog="Exit codes: 0 done, 1 the run failed, 2 wrong input or configuration, 3 the gate said no.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
testset = typer.Typer(help="The fixed test set of a model.", no_args_is_help=True)
app.add_typer(testset, name="testset")


def complete_model(incomplete: str) -> list[str]:
    """Names for shell completion; none outside a workspace."""
    try:
        return [name for name in model_names(workspace_root()) if name.startswith(incomplete)]
    except InputError:
        return []


Model = Annotated[str, typer.Argument(help="Name of the model.", autocompletion=complete_model)]
AnyModel = Annotated[
    str | None, typer.Argument(help="Name of the model; all unless given.", autocompletion=complete_model)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    pass


@app.command(epilog="Examples: ostinato run demand-forecaster; ostinato run demand-forecaster --param as_of=2018-06-01")
def run(
    model: Model,
    data: Annotated[str | None, typer.Option(help="File, directory, glob or URI instead of the spec's source.")] = None,
    until: Annotated[str, typer.Option(help="Last step: preprocess, train, evaluate, register or deploy.")] = "deploy",
    param: Annotated[
        list[str] | None, typer.Option(help="name=value: as_of (ISO date or time) or a hyperparameter. Repeatable.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="direct or pull-request instead of the spec's mode.")] = None,
    resume: Annotated[str | None, typer.Option(help="Id of a run that did not finish: go on from there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole pipeline here, from the same compiled package that the clusters get."""
    from pipelines.progress import Progress
    from pipelines.run import run_model
    from pipelines.wording import told

    with Progress(sys.stderr, model) as progress:
        finished = run_model(
            places(),
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
        print(told(finished))
    if finished.refusal:
        raise finished.refusal


@app.command("compile", epilog="Example: ostinato compile demand-forecaster -o package.yaml")
def compile_(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    until: Annotated[str, typer.Option(help="Last step of the package.")] = "deploy",
) -> None:
    """Write the model's pipeline package (kfp v2 IR). Equal input gives equal bytes."""
    from pipelines.package import check_step, package_file

    here = places()
    spec = model_spec(here.root, model)
    package = package_file(here.root, spec, image=here.image, until=check_step(until), cache=here.packages)
    if not output.parent.is_dir():
        raise InputError(f"--output {str(output)!r}: the folder {output.parent} does not exist")
    shutil.copyfile(package, output)
    print(f"wrote {output}")


@app.command(epilog="Example: ostinato status --json")
def status(model: AnyModel = None, as_json: AsJson = False) -> None:
    """What is live by git, what the registry's aliases say, whether they agree, and what is proposed."""
    from pipelines.status import model_status
    from pipelines.wording import status_table

    here = places()
    names = [model] if model else model_names(here.root)
    rows = [model_status(here, model_spec(here.root, name)) for name in names]
    print(json.dumps([asdict(row) for row in rows], indent=2) if as_json else status_table(rows))


@app.command(epilog="Example: ostinato report; ostinato report demand-forecaster-20260101-120000-ab12")
def report(
    run: Annotated[str | None, typer.Argument(help="Id of a run; the newest unless given.")] = None,
) -> None:
    """Name the page of a run, and open it where there is a desktop."""
    from pipelines.pages import PAGE
    from pipelines.run import find_run

    here = places()
    page = here.runs / find_run(here, run) / PAGE
    if not page.is_file():
        raise InputError(f"{page} does not exist: that run was stopped; finish it with: ostinato run MODEL --resume ID")
    print(page)
    if sys.stdout.isatty():
        typer.launch(str(page))


@app.command(epilog="Examples: ostinato promote churn --version 3; ostinato promote churn --to production")
def promote(
    model: Model,
    version: Annotated[str | None, typer.Option(help="Model version; the registry's candidate unless given.")] = None,
    release: Annotated[str | None, typer.Option(help="direct or pull-request instead of the spec's mode.")] = None,
    to: Annotated[str | None, typer.Option(help="production: copy there what is released, which staging runs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Release a registered version that passed: a commit that names it, then reconcile. Or, with --to, bring what is
    released to production."""
    if to is not None:
        if version is not None or release is not None:
            raise InputError("--to copies what is released as it is; leave out --version and --release")
        promote_to(model, to, as_json)
        return
    from components.deploy.reconcile import reconcile
    from components.deploy.release import promote
    from components.deploy.steps import check_mode

    here = places()
    spec = model_spec(here.root, model)
    mode = check_mode(release) if release else None
    done = promote(spec, here.tracking_uri, manifests(here), version, mode, here.artifacts_destination)
    changes = reconcile(here.tracking_uri, here.manifests_remote, model)
    tell_release(done, changes, as_json)


def promote_to(model: str, environment: str, as_json: bool) -> None:
    from components.deploy.environments import check_environment, promote_to_production
    from pipelines.wording import promotion_line

    check_environment(environment)
    here = places()
    model_spec(here.root, model)
    done = promote_to_production(manifests(here), model)
    print(json.dumps(asdict(done), indent=2) if as_json else promotion_line(done))


@app.command(epilog="Example: ostinato rollback demand-forecaster")
def rollback(model: Model, as_json: AsJson = False) -> None:
    """Go back: end the canary if one runs, else git revert of the last release commit; then reconcile."""
    from components.deploy.reconcile import reconcile
    from components.deploy.rollback import rollback

    here = places()
    model_spec(here.root, model)
    done = rollback(manifests(here), model)
    changes = reconcile(here.tracking_uri, here.manifests_remote, model)
    tell_release(done, changes, as_json)


@app.command(
    epilog="Examples: ostinato canary demand-forecaster --percent 10; ostinato canary demand-forecaster --finish"
)
def canary(
    model: Model,
    percent: Annotated[int | None, typer.Option(help="Start it, or change what it gets: 1 to 99.")] = None,
    version: Annotated[
        str | None, typer.Option(help="With --percent: the version; the running canary or the candidate unless given.")
    ] = None,
    finish: Annotated[bool, typer.Option("--finish", help="The canary becomes the live version.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="The canary goes away.")] = False,
    release: Annotated[str | None, typer.Option(help="direct or pull-request instead of the spec's mode.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a new version a share of the requests first: a commit, then reconcile. The champion stays until --finish."""
    from components.deploy.canary import finish_canary, start_canary
    from components.deploy.reconcile import reconcile
    from components.deploy.rollback import end_canary
    from components.deploy.steps import check_mode

    one_of(("--percent", percent is not None), ("--finish", finish), ("--abort", abort))
    if version and percent is None:
        raise InputError(f"--version {version} goes with --percent; --finish and --abort take the running canary")
    here = places()
    spec = model_spec(here.root, model)
    mode = check_mode(release) if release else None
    remote = manifests(here)
    if percent is not None:
        done = start_canary(spec, here.tracking_uri, remote, percent, version, mode, here.artifacts_destination)
    elif finish:
        done = finish_canary(spec, here.tracking_uri, remote, mode, here.artifacts_destination)
    else:
        done = end_canary(remote, model)
    tell_release(done, reconcile(here.tracking_uri, remote, model), as_json)


@app.command(
    epilog="Examples: ostinato shadow demand-forecaster --version 4; ostinato shadow demand-forecaster --off; "
    "ostinato shadow demand-forecaster --compare rows.csv --url http://live --shadow-url http://shadow"
)
def shadow(
    model: Model,
    version: Annotated[str | None, typer.Option(help="Mirror the live model's requests to this version.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Take the shadow away.")] = False,
    compare: Annotated[Path | None, typer.Option(help="CSV, JSON or Parquet: ask both for these rows.")] = None,
    url: Annotated[str | None, typer.Option(help="With --compare: where the live model is served.")] = None,
    shadow_url: Annotated[str | None, typer.Option(help="With --compare: where the shadow is served.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send a copy of every request to another version, and compare what the two answer. Callers notice nothing."""
    from components.deploy.shadow import end_shadow, start_shadow

    one_of(("--version", version is not None), ("--off", off), ("--compare", compare is not None))
    here = places()
    spec = model_spec(here.root, model)
    if compare is not None:
        tell_comparison(spec, compare, url, shadow_url, as_json)
    elif version is not None:
        done = start_shadow(spec, here.tracking_uri, manifests(here), version, here.artifacts_destination)
        tell_release(done, [], as_json)
    else:
        tell_release(end_shadow(manifests(here), model), [], as_json)


@app.command(epilog="Examples: ostinato serve demand-forecaster --port 8080; ostinato serve demand-forecaster --follow")
def serve(
    model: Model,
    version: Annotated[
        str | None, typer.Option(help="Version of the registry instead of what git says is live.")
    ] = None,
    candidate: Annotated[bool, typer.Option("--candidate", help="The registry's candidate instead.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8080,
    follow: Annotated[
        bool, typer.Option("--follow", help="When git names another version, it takes over; no request fails.")
    ] = False,
) -> None:
    """Serve the live model here, from the storage URI in its manifest, until Ctrl-C (Open Inference Protocol)."""
    from pipelines.serve import serve_model

    here = places()
    manifests(here)
    serve_model(here, model_spec(here.root, model), version, candidate, port, follow)


@app.command(epilog="Example: ostinato predict demand-forecaster rows.csv --url http://127.0.0.1:8080")
def predict(
    model: Model,
    rows: Annotated[Path, typer.Argument(help="CSV, JSON (a list of objects) or Parquet with the model's inputs.")],
    url: Annotated[
        str, typer.Option(help="Where it is served: any KServe URL that speaks V2.")
    ] = "http://127.0.0.1:8080",
    as_json: AsJson = False,
) -> None:
    """Ask a served model for predictions."""
    from pipelines.predict import predict_rows

    here = places()
    found = predict_rows(url, model_spec(here.root, model), rows)
    if as_json:
        print(found.to_json(orient="records", date_format="iso", double_precision=15))
    else:
        print(found.to_string(index=False))


@app.command(epilog="Example: ostinato verify demand-forecaster --url https://demand-forecaster.example.org --wait 300")
def verify(
    model: Model,
    url: Annotated[str, typer.Option(help="Of the live endpoint.")],
    version: Annotated[
        str | None, typer.Option(help="Version of the registry instead of what git says is live.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to try again while a rollout goes on.")] = 0,
    as_json: AsJson = False,
) -> None:
    """After a deploy: the endpoint is the version that git names, and answers the test sample as it was judged.

    Exit code 3 when not.
    """
    from pipelines.verify import verify_model
    from pipelines.wording import verified_line

    here = places()
    manifests(here)
    done = verify_model(here, model_spec(here.root, model), url, version, wait)
    print(json.dumps(asdict(done), indent=2) if as_json else verified_line(done))


@app.command("reconcile", epilog="Example: ostinato reconcile")
def reconcile_(as_json: AsJson = False) -> None:
    """Make the registry's aliases follow the manifests repository. Run it as often as you like."""
    from components.deploy.reconcile import reconcile
    from pipelines.wording import alias_lines

    here = places()
    changes = reconcile(here.tracking_uri, manifests(here))
    print(json.dumps([asdict(change) for change in changes], indent=2) if as_json else alias_lines(changes))


@app.command(epilog="Example: ostinato validate demand-forecaster")
def validate(model: AnyModel = None) -> None:
    """Check spec, model code, data contract and manifest without running anything."""
    from pipelines.validate import validate_model

    here = places()
    for name in [model] if model else model_names(here.root):
        for line in validate_model(here, name):
            print(f"{name}: {line}")


@app.command(epilog="Example: ostinato schema > spec.schema.json")
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="The reference in words instead.")] = False,
) -> None:
    """Print the JSON Schema of spec.yaml."""
    from training.reference import reference
    from training.spec import json_schema

    print(reference().rstrip("\n") if markdown else json.dumps(json_schema(), indent=2))


@app.command(epilog="Example: ostinato new churn --task classification --data churn.csv --target left --key customer")
def new(
    name: Annotated[str, typer.Argument(help="Name of the new model: lower-case letters, digits, hyphens.")],
    task: Annotated[str, typer.Option(help="regression or classification.")],
    data: Annotated[Path | None, typer.Option(help="Your CSV or Parquet file; else a small real data set.")] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    time: Annotated[str | None, typer.Option(help="Column that orders the rows: split by time.")] = None,
    key: Annotated[str | None, typer.Option(help="Column that identifies a row: split by its hash.")] = None,
) -> None:
    """Make a new model folder that runs at once."""
    from pipelines.new import check_task, create_model

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

    here = places()
    done = rotate(here.root, model, data_uri(here, model_spec(here.root, model), data), as_of)
    replaced = f", in place of the one of {done.replaced.pinned_on}" if done.replaced else ""
    print(f"pinned {done.rows} test rows at {done.path}{replaced}\nsha256 {done.sha256}, written into spec.yaml")


def places():
    """Where this workspace keeps things."""
    from pipelines.settings import load_places

    return load_places(workspace_root())


def manifests(here: Any) -> str:
    """The manifests remote, made first where it is the embedded one."""
    from components.deploy.repository import ensure_local_repository

    if here.embedded_manifests:
        ensure_local_repository(here.local_manifests, here.root / "manifests")
    return here.manifests_remote


def parse_parameters(given: list[str]) -> dict[str, str]:
    """``name=value`` pairs. Raises InputError for anything else, and for a name given twice."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not (name and equals and value):
            raise InputError(f"--param {one!r} is not name=value; write for example --param as_of=2018-06-01")
        if name in found:
            raise InputError(f"--param {name} is given twice: {found[name]} and {value}")
        found[name] = value
    return found


def one_of(*options: tuple[str, bool]) -> None:
    """Raises InputError unless exactly one of the options was given."""
    given = [name for name, is_given in options if is_given]
    if len(given) != 1:
        names = ", ".join(name for name, _ in options)
        raise InputError(f"give exactly one of {names}; given: {' and '.join(given) or 'none'}")


def tell_comparison(spec: Any, rows: Path, url: str | None, shadow_url: str | None, as_json: bool) -> None:
    from components.serving.compare import compare_served
    from pipelines.predict import read_rows
    from pipelines.wording import comparison_table

    if not (url and shadow_url):
        raise InputError("--compare needs both --url, of the live model, and --shadow-url")
    found = compare_served(url, shadow_url, spec.name, read_rows(rows), spec.task, spec.serving.protocol)
    print(json.dumps(asdict(found), indent=2) if as_json else comparison_table(found))


def tell_release(done: Any, changes: list[Any], as_json: bool) -> None:
    from pipelines.wording import alias_lines, release_line

    if as_json:
        print(json.dumps(asdict(done) | {"aliases": [asdict(change) for change in changes]}, indent=2))
    else:
        print(release_line(done) + "\n" + alias_lines(changes))


def main() -> NoReturn:
    """Entry point: one clear message on stderr and the right exit code; the traceback with ``--debug``, anywhere."""
    debug = "--debug" in sys.argv[1:]
    try:
        code = app([argument for argument in sys.argv[1:] if argument != "--debug"], standalone_mode=False) or 0
        if code == INTERRUPTED:  # what Typer makes of KeyboardInterrupt
            tell("stopped; go on with: ostinato run MODEL --resume RUN (the newest in .ostinato/runs)")
    except OstinatoError as error:
        code = tell(
            f"{'refused' if isinstance(error, GateRefused) else 'error'}: {error}", error, debug, error.exit_code
        )
    except OSError as error:
        message = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        code = tell(f"error: {message}", error, debug, OstinatoError.exit_code)
    except typer.TyperException as error:
        code = tell(f"error: {error.format_message()} See: ostinato --help", error, debug, InputError.exit_code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # taking Evidently and MLflow down in order takes longer than a second, and gives nothing back


def tell(message: str, error: BaseException | None = None, debug: bool = False, code: int = INTERRUPTED) -> int:
    if error and debug:
        traceback.print_exception(error)
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
