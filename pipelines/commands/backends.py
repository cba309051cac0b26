"""Commands for remote backends: submitting, following, schedules, events; settings in force, estimates, notices."""

import json
import sys
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.base import app, open_model, open_workspace, print_result
from pipelines.commands.building import parse_parameters
from pipelines.commands.options import AnyBackend, AsJson, Model, Parameters, ReleaseOption, RemoteBackend, Set, Until
from training.errors import InputError, OstinatoError

if TYPE_CHECKING:
    from pipelines.backends.remote import StepState
    from pipelines.settings.settings import Workspace
    from pipelines.waiting import Wait

schedule = typer.Typer(help="When a remote backend runs a model's pipeline by itself.", no_args_is_help=True)
app.add_typer(schedule, name="schedule")
events = typer.Typer(help="Events that start runs: new data, a new base model, drift.", no_args_is_help=True)
app.add_typer(events, name="events")

Poll = Annotated[float, typer.Option(min=0.01, help="Seconds between two looks at the run.")]
Timeout = Annotated[str, typer.Option(help="How long a run is followed: 90m, 8h, 1d.")]
OnInterrupt = Annotated[str, typer.Option(help="What Ctrl-C does to the run: leave or cancel.")]


@app.command(epilog="Examples: ostinato config; ostinato config --set vertex.region=europe-west4 --json")
def config(set_: Set = None, as_json: AsJson = False) -> None:
    """Print every setting in force and where it comes from, and which secrets the environment holds."""
    from pipelines.settings.in_force import configuration, configuration_text, parse_given, secrets_there

    workspace = open_workspace(set_)
    rows = configuration(workspace, parse_given(set_ or []))
    if as_json:
        print(json.dumps({"settings": [asdict(row) for row in rows], "secrets": secrets_there()}, indent=2))
    else:
        print(configuration_text(rows))


@app.command(
    epilog="Examples: ostinato submit demand-forecaster --backend vertex --wait; "
    "ostinato submit churn --backend kubeflow --key $COMMIT_SHA --set kubeflow.namespace=team"
)
def submit(
    model: Model,
    backend: RemoteBackend,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end, and end as it does.")] = False,
    resume: Annotated[
        str | None, typer.Option(help="Id of a run there: go on from the first step that did not finish.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="What asks for the run; equal keys start one run.")] = None,
    trigger: Annotated[str, typer.Option(help="A label of the run: manual, merge, schedule, drift.")] = "manual",
    data: Annotated[str | None, typer.Option(help="URI instead of the spec's source.")] = None,
    until: Until = "deploy",
    param: Parameters = None,
    release: ReleaseOption = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Whether earlier runs may answer for steps.")
    ] = True,
    poll: Poll = 10,
    timeout: Timeout = "1d",
    on_interrupt: OnInterrupt = "leave",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Run a model's pipeline on a remote backend, once for each key."""
    from pipelines.submit import connect, submit_model

    check_interrupt(on_interrupt)
    following = following_run(poll, timeout, known=True)
    workspace = open_workspace(set_)
    if resume is not None:
        options = {"--key": key, "--data": data, "--param": param, "--release": release}
        excess = [option for option, value in options.items() if value] + ["--until"] * (until != "deploy")
        if excess:
            raise InputError(f"--resume goes on with what the run was given; leave out {', '.join(excess)}")
        run = connect(workspace, backend).resume(resume)
        if run.model != model:
            raise InputError(f"run {resume} is one of {run.model}, not of {model}")
    else:
        run = submit_model(
            workspace, model, backend, key=key, trigger=trigger, data=data, until=until,
            parameters=parse_parameters(param or []), release=release, cache=cache,
        )  # fmt: skip
    if not as_json:
        print(f"{'submitted' if run.new else 'found'} {run.run}: {run.state}\n  {run.link}")
    if wait:
        follow_run(workspace, backend, run.run, following, on_interrupt, as_json)
    elif as_json:
        print(json.dumps(asdict(run), indent=2))


@app.command("wait", epilog="Example: ostinato wait demand-forecaster-20260101-120000-ab12 --backend vertex")
def wait_(
    run: Annotated[str, typer.Argument(help="Id of a run.")],
    backend: RemoteBackend,
    poll: Poll = 10,
    timeout: Timeout = "1d",
    on_interrupt: OnInterrupt = "leave",
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Follow a remote run to its end, and end as it does: 0 done, 1 failed, 3 checks failed."""
    check_interrupt(on_interrupt)
    following = following_run(poll, timeout)
    follow_run(open_workspace(set_), backend, run, following, on_interrupt, as_json)


@app.command(epilog="Example: ostinato cancel demand-forecaster-20260101-120000-ab12 --backend kubeflow")
def cancel(run: Annotated[str, typer.Argument(help="Id of a run.")], backend: RemoteBackend, set_: Set = None) -> None:
    """Stop a remote run; `ostinato submit --resume` goes on with it."""
    from pipelines.submit import connect

    connect(open_workspace(set_), backend).cancel(run)
    print(f"asked {backend} to cancel {run}")


@schedule.command("apply", epilog="Example: ostinato schedule apply --backend vertex --dry-run")
def apply_(
    backend: RemoteBackend,
    model: Annotated[str | None, typer.Option(help="Only this model's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference and change nothing.")] = False,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Make the backend's schedules equal to git: create, change, delete. Run again, it does nothing more."""
    from pipelines.schedules import carry_out, plan
    from pipelines.submit import connect

    workspace = open_workspace(set_)
    client = connect(workspace, backend)
    changes = plan(workspace, client, model)
    for change in changes:
        line = change.line() if dry_run else carry_out(client, change)
        if not as_json:
            print(line)
    if as_json:
        rows = [asdict(replace(change, desired=None)) for change in changes]
        print(json.dumps([{key: value for key, value in row.items() if key != "desired"} for row in rows], indent=2))
    elif not changes:
        print(f"no schedules, neither in git nor at {backend}")


@schedule.command("list", epilog="Example: ostinato schedule list --backend kubeflow --json")
def list_(backend: RemoteBackend, set_: Set = None, as_json: AsJson = False) -> None:
    """The schedules that the backend has."""
    from pipelines.submit import connect

    entries = connect(open_workspace(set_), backend).schedules()
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        print(f"{entry.model}: {entry.cron} {entry.time_zone}{'' if entry.active else ' (paused)'}  {entry.id}")
    if not entries:
        print(f"no schedules at {backend}")


@app.command(epilog="Examples: ostinato estimate demand-forecaster; ostinato estimate churn --backend vertex --json")
def estimate(model: Model, backend: AnyBackend = "local", set_: Set = None, as_json: AsJson = False) -> None:
    """What a run will take and cost, step by step, and what of that is not known."""
    from pipelines.estimate import estimate
    from pipelines.wording import render_estimate

    workspace, spec = open_model(model, set_)
    print_result(estimate(workspace, spec, backend), as_json, render_estimate)


@app.command(epilog="Example: ostinato notify --backend vertex --since 2h")
def notify(
    backend: RemoteBackend,
    since: Annotated[str, typer.Option(help="How far back: 90m, 2h, 1d.")] = "1d",
    set_: Set = None,
) -> None:
    """Tell of remote runs that ended and that nobody waited for, each once."""
    from datetime import UTC, datetime

    from pipelines.notifications.tell import tell_of_runs
    from pipelines.submit import connect
    from training.spec.section import parse_duration

    try:
        start = datetime.now(UTC) - parse_duration(since)
    except ValueError as error:
        raise InputError(f"--since: {error}") from error
    workspace = open_workspace(set_)
    notices = tell_of_runs(workspace, connect(workspace, backend), start)
    for notice, problems in notices:
        print(f"{notice.run}: {notice.headline}")
        for problem in problems:
            print(f"somebody was not notified: {problem}", file=sys.stderr)
    if not notices:
        print("nothing new to tell")
    if any(problems for _, problems in notices):
        raise OstinatoError("some notices were not taken; run the command again")


@events.command("serve", epilog="Example, as on Cloud Run: ostinato events serve --host 0.0.0.0 --port $PORT")
def serve_events(
    port: Annotated[int, typer.Option(min=1, max=65535, envvar="PORT", help="To listen on.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")] = "127.0.0.1",
    set_: Set = None,
) -> None:
    """Take events of Pub/Sub, Eventarc, MLflow and the drift watch, and submit what they ask for, each once."""
    import uvicorn

    from pipelines.events.serve import workspace_app

    uvicorn.run(workspace_app(open_workspace(set_)), host=host, port=port, access_log=False, log_level="warning")


def check_interrupt(choice: str) -> None:
    if choice not in ("leave", "cancel"):
        raise InputError(f"--on-interrupt {choice!r} is neither leave nor cancel")


def following_run(poll: float, timeout: str, known: bool = False) -> "Wait":
    """How a run is followed, with each change of a step on stderr. Raises InputError for a duration that is none."""
    from pipelines.waiting import Wait
    from training.spec.section import parse_duration

    try:
        limit = parse_duration(timeout)
    except ValueError as error:
        raise InputError(f"--timeout: {error}") from error
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f}  {text}", file=sys.stderr, flush=True)

    def show(step: "StepState") -> None:
        took = f" {step.seconds:.0f} s" if step.seconds is not None and step.state != "running" else ""
        link = f"  {step.link}" if step.link else ""
        say(f"{step.name} {step.state}{took}{link}")

    return Wait(lambda: time.sleep(poll), limit, show, say, known)


def follow_run(
    workspace: "Workspace", backend: str, run: str, following: "Wait", on_interrupt: str, as_json: bool
) -> None:
    """Follow a run, tell who is to be notified, and end as it does."""
    from pipelines.notifications.notice import notice_of_remote
    from pipelines.notifications.tell import tell_and_warn
    from pipelines.submit import connect
    from pipelines.waiting import check_ended

    client = connect(workspace, backend)
    try:
        ended = following.follow(client, run)
    except KeyboardInterrupt:
        if on_interrupt == "cancel":
            client.cancel(run)
            print(f"cancelled {run}", file=sys.stderr)
        else:
            print(f"{run} goes on; follow it with: ostinato wait {run} --backend {backend}", file=sys.stderr)
        raise
    if as_json:
        print(json.dumps(asdict(ended), indent=2))
    else:
        print(f"{ended.run}: {ended.state}{', the decision is ' + ended.decision if ended.decision else ''}")
    tell_and_warn(workspace, notice_of_remote(ended))
    check_ended(ended)
