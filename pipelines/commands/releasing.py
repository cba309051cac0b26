"""Commands that say or change what is live: each change is a commit, and the registry follows."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.base import app, check_exactly_one, open_model, open_workspace, print_result
from pipelines.commands.options import AnyModel, AsJson, Model, ReleaseOption
from training.errors import InputError
from training.folder import model_names, model_spec

if TYPE_CHECKING:
    from delivery.connections import Connections
    from delivery.git.repository import ReleaseMode
    from delivery.releases.environments import Promotion
    from delivery.releases.operations import Outcome
    from delivery.releases.release import Release
    from delivery.releases.retirement import Retirement
    from pipelines.settings.settings import Workspace
    from training.spec import ModelSpec


@app.command(epilog="Examples: ostinato status --json; ostinato status demand-forecaster --cluster")
def status(
    model: AnyModel = None,
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Instead: what the cluster of the kubeconfig runs, its health, and how it differs from git.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What is live by git, what the registry's aliases say, whether they are in sync, and what is proposed."""
    from pipelines.proposals import proposed_models
    from pipelines.status import model_status
    from pipelines.wording import render_status

    workspace = open_workspace()
    if cluster:
        print_cluster_status(workspace, model, as_json)
        return
    names = [model] if model else model_names(workspace.root)
    proposals = proposed_models(workspace)
    rows = [model_status(workspace, model_spec(workspace.root, name), proposals.get(name, ())) for name in names]
    print_result(rows, as_json, render_status)


def print_cluster_status(workspace: "Workspace", model: str | None, as_json: bool) -> None:
    """What runs, beside what git names."""
    from delivery.kserve.api_server import ApiServer
    from delivery.releases.cluster_status import cluster_status
    from pipelines.wording_cluster import render_cluster_status

    namespaces = {model_spec(workspace.root, name).serving.namespace for name in model_names(workspace.root)}
    remote = workspace.connect().manifests_remote
    shown = cluster_status(remote, ApiServer(), namespaces, model)
    print_result(shown, as_json, render_cluster_status)


@app.command(
    epilog="Examples: ostinato promote churn --version 3; ostinato promote churn --from staging --to production"
)
def promote(
    model: Model,
    version: Annotated[str | None, typer.Option(help="Model version; the registry's candidate unless given.")] = None,
    release: ReleaseOption = None,
    skip: Annotated[str | None, typer.Option(help="A check that the policy requires, and lets you go without.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="With --to: staging, where every release runs.")] = None,
    to: Annotated[str | None, typer.Option(help="production: copy there what is released, byte for byte.")] = None,
    as_json: AsJson = False,
) -> None:
    """Release a registered version that passed: a commit that names it, then reconcile. Or, with --to, bring what is
    released to production, byte for byte."""
    if to is not None:
        if version is not None or skip is not None:
            raise InputError("--to copies what is released as it is; leave out --version and --skip")
        promote_to(model, from_, to, release, as_json)
        return
    if from_ is not None:
        raise InputError(f"--from {from_} goes with --to production")
    from delivery.releases.operations import promote as promote_version
    from delivery.releases.release import check_mode

    workspace, spec = open_model(model)
    print_release(
        promote_version(spec, workspace.connect(), version, check_mode(release) if release else None, skip), as_json
    )


def promote_to(model: str, source: str | None, environment: str, release: str | None, as_json: bool) -> None:
    """The command with --to."""
    from delivery.releases.environments import STAGING, check_environment, check_source
    from delivery.releases.operations import promote_to_production
    from delivery.releases.release import check_mode
    from pipelines.wording import format_aliases, format_promotion

    check_environment(environment)
    check_source(source or STAGING)
    workspace, spec = open_model(model)
    outcome = promote_to_production(spec, workspace.connect(), check_mode(release) if release else None)
    warn_of_aliases(outcome, "promotion")
    aliases = [format_aliases(outcome.aliases)] if outcome.aliases else []
    print(outcome_json(outcome) if as_json else "\n".join([format_promotion(outcome.result), *aliases]))


@app.command(
    epilog="Examples: ostinato rollback demand-forecaster; ostinato rollback demand-forecaster --to 3; "
    "ostinato rollback demand-forecaster --in production"
)
def rollback(
    model: Model,
    to: Annotated[str | None, typer.Option("--to", help="A version that was live before, however long ago.")] = None,
    environment: Annotated[
        str | None, typer.Option("--in", help="production: take back what was promoted there, not the release.")
    ] = None,
    release: Annotated[
        str | None, typer.Option(help="pull-request: propose it; else a commit at once, whatever the spec says.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Go back: end the canary if one runs, else git revert of the last release commit; then reconcile.

    Works without the registry: its aliases then follow with the next reconcile.
    """
    from delivery.releases.operations import roll_back
    from delivery.releases.release import check_mode

    workspace, spec = open_model(model)
    outcome = roll_back(spec, workspace.connect(), to, environment, check_mode(release or "direct"))
    warn_of_aliases(outcome, "rollback")
    print_release(outcome, as_json)


@app.command(epilog="Examples: ostinato retire churn; ostinato retire churn --release pull-request")
def retire(model: Model, release: ReleaseOption = None, as_json: AsJson = False) -> None:
    """Take a model out: a commit without its folders, no aliases any more, and what to type to end it in the cluster.

    The model's folder in training/ is not needed, and stays.
    """
    from delivery.releases.operations import retire as retire_model
    from delivery.releases.release import check_mode
    from pipelines.wording import format_aliases, format_retirement
    from training.spec import ReleaseSpec

    workspace = open_workspace()
    known = model in model_names(workspace.root)
    proposals = model_spec(workspace.root, model).release if known else ReleaseSpec()
    outcome = retire_model(model, workspace.connect(), proposals, check_mode(release) if release else None)
    warn_of_aliases(outcome, "retirement")
    aliases = [format_aliases(outcome.aliases)] if outcome.aliases else []
    print(outcome_json(outcome) if as_json else "\n".join([*aliases, format_retirement(outcome.result)]))


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
    release: ReleaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Give a new version a share of the requests first: a commit, then reconcile. The champion stays until --finish.

    --finish makes it live beside its canary, waits for the cluster of the kubeconfig, and takes the canary away.
    Without a cluster it is typed twice.
    """
    from delivery.releases.operations import abort_canary, start_canary
    from delivery.releases.release import check_mode

    check_exactly_one(("--percent", percent is not None), ("--finish", finish), ("--abort", abort))
    if version and percent is None:
        raise InputError(f"--version {version} goes with --percent; --finish and --abort take the running canary")
    workspace, spec = open_model(model)
    mode = check_mode(release) if release else None
    connections = workspace.connect()
    if percent is not None:
        outcome = start_canary(spec, connections, percent, version, mode)
    elif finish:
        outcome = finished_canary(spec, connections, mode)
    else:
        outcome = abort_canary(spec, connections)
    print_release(outcome, as_json)


def finished_canary(spec: "ModelSpec", connections: "Connections", mode: "ReleaseMode | None") -> "Outcome[Release]":
    """What the cluster says meanwhile goes to stderr."""
    from delivery.kserve.api_server import ApiServer
    from delivery.releases.operations import finish_canary
    from delivery.releases.roll_out import wait_for_roll_out

    def report(sentence: str) -> None:
        print(sentence, file=sys.stderr)

    def wait() -> str:
        return wait_for_roll_out(connections.manifests_remote, spec.name, ApiServer, report=report)

    return finish_canary(spec, connections, mode, wait)


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
    from delivery.releases.operations import end_shadow, start_shadow

    check_exactly_one(("--version", version is not None), ("--off", off), ("--compare", compare is not None))
    workspace, spec = open_model(model)
    if compare is not None:
        print_comparison(spec, compare, url, shadow_url, as_json)
    elif version is not None:
        print_release(start_shadow(spec, workspace.connect(), version), as_json)
    else:
        print_release(end_shadow(spec, workspace.connect()), as_json)


@app.command("reconcile", epilog="Example: ostinato reconcile")
def reconcile_(as_json: AsJson = False) -> None:
    """Make the registry's aliases follow the manifests repository, and mark versions whose pull request was closed.

    Run it as often as you like.
    """
    from delivery.releases.reconcile import reconcile
    from pipelines.proposals import reconcile_rejections
    from pipelines.wording import format_aliases, format_rejections

    workspace = open_workspace()
    changes = reconcile(workspace.connect())
    rejections, note = reconcile_rejections(workspace)
    if note:
        print(note, file=sys.stderr)
    if as_json:
        print(json.dumps([asdict(change) for change in [*changes, *rejections]], indent=2))
    else:
        print(format_rejections(rejections) + format_aliases(changes))


def print_comparison(spec: "ModelSpec", rows: Path, url: str | None, shadow_url: str | None, as_json: bool) -> None:
    """What the live model and its shadow answer to the same rows."""
    from delivery.serving.clients.compare import check_comparable, compare_served
    from pipelines.serve.predict import read_rows
    from pipelines.wording import render_comparison

    check_comparable(spec.name, spec.task)
    if not (url and shadow_url):
        raise InputError("--compare needs both --url, of the live model, and --shadow-url")
    comparison = compare_served(url, shadow_url, spec.name, read_rows(rows), spec.task, spec.serving.protocol)
    print_result(comparison, as_json, render_comparison)


def print_release(outcome: "Outcome[Release]", as_json: bool) -> None:
    """What came of a release, and the aliases that moved."""
    from pipelines.wording import format_aliases, format_release

    text = format_release(outcome.result) + "\n" + format_aliases(outcome.aliases)
    print(outcome_json(outcome) if as_json else text)


def outcome_json(outcome: "Outcome[Release] | Outcome[Promotion] | Outcome[Retirement]") -> str:
    """One document: what changed in git, with the aliases that moved."""
    aliases = [asdict(change) for change in outcome.aliases]
    return json.dumps(asdict(outcome.result) | {"aliases": aliases}, indent=2)


def warn_of_aliases(outcome: "Outcome[Release] | Outcome[Promotion] | Outcome[Retirement]", operation: str) -> None:
    """One line on stderr where the registry could not follow."""
    if outcome.behind:
        later = f"the {operation} is done, and the registry's aliases follow later, with: ostinato reconcile"
        print(f"{later} ({outcome.behind})", file=sys.stderr)
