"""Commands that say or change what is live: each change is a commit, and the registry follows."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.commands.base import AnyModel, AsJson, Model, app, one_of, open_workspace
from training.errors import InputError, OstinatoError
from training.folder import model_names, model_spec


@app.command(epilog="Example: ostinato status --json")
def status(model: AnyModel = None, as_json: AsJson = False) -> None:
    """What is live by git, what the registry's aliases say, whether they agree, and what is proposed."""
    from pipelines.proposals import proposed_models
    from pipelines.status import model_status
    from pipelines.wording import status_table

    workspace = open_workspace()
    names = [model] if model else model_names(workspace.root)
    proposals = proposed_models(workspace)
    rows = [model_status(workspace, model_spec(workspace.root, name), proposals.get(name, ())) for name in names]
    print(json.dumps([asdict(row) for row in rows], indent=2) if as_json else status_table(rows))


@app.command(
    epilog="Examples: ostinato promote churn --version 3; ostinato promote churn --from staging --to production"
)
def promote(
    model: Model,
    version: Annotated[str | None, typer.Option(help="Model version; the registry's candidate unless given.")] = None,
    release: Annotated[str | None, typer.Option(help="direct or pull-request instead of the spec's mode.")] = None,
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
    from delivery.releases.reconcile import reconcile
    from delivery.releases.release import check_mode, promote

    workspace = open_workspace()
    spec = model_spec(workspace.root, model)
    mode = check_mode(release) if release else None
    done = promote(spec, workspace.connect(), version, mode, skip)
    done = proposed_by_hand(workspace, spec, done)
    changes = reconcile(workspace.connections, model)
    tell_release(done, changes, as_json)


def promote_to(model: str, source: str | None, environment: str, release: str | None, as_json: bool) -> None:
    from delivery.forges.choose import forge_of
    from delivery.releases.environments import STAGING, check_environment, check_source, promote_to_production
    from delivery.releases.promotion_proposals import propose_promotion
    from delivery.releases.release import check_mode
    from pipelines.wording import alias_lines, promotion_line

    check_environment(environment)
    check_source(source or STAGING)
    workspace = open_workspace()
    spec = model_spec(workspace.root, model)
    connections = workspace.connect()
    remote = connections.manifests_remote
    done = promote_to_production(remote, model, check_mode(release or spec.release.mode))
    done = propose_promotion(forge_of(remote, connections.forge), spec, remote, done)
    changes = follow(workspace, model, "promotion")
    if as_json:
        print(json.dumps(asdict(done) | {"aliases": [asdict(change) for change in changes]}, indent=2))
    else:
        print("\n".join([promotion_line(done), *([alias_lines(changes)] if changes else [])]))


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
    from delivery.git.repository import LIVE_BRANCH
    from delivery.releases.release import check_mode
    from delivery.releases.rollback import rollback

    workspace = open_workspace()
    spec = model_spec(workspace.root, model)
    connections = workspace.connect()
    done = rollback(connections.manifests_remote, model, to, environment, check_mode(release or "direct"))
    if done.branch != LIVE_BRANCH:
        from delivery.forges.choose import forge_of
        from delivery.releases.promotion_proposals import propose_rollback

        at = forge_of(connections.manifests_remote, connections.forge)
        done = propose_rollback(at, spec, connections.manifests_remote, done, environment)
    tell_release(done, follow(workspace, model, "rollback"), as_json)


def follow(workspace: Any, model: str, what: str) -> list[Any]:
    """Reconcile after ``what``, which is done whether or not the registry can be used."""
    from delivery.releases.reconcile import reconcile

    try:
        return reconcile(workspace.connections, model)
    except OstinatoError as error:
        late = f"the {what} is done, and the registry's aliases follow later, with: ostinato reconcile"
        print(f"{late} ({error})", file=sys.stderr)
        return []


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
    from delivery.releases.canary import finish_canary, start_canary
    from delivery.releases.reconcile import reconcile
    from delivery.releases.release import check_mode
    from delivery.releases.rollback import end_canary

    one_of(("--percent", percent is not None), ("--finish", finish), ("--abort", abort))
    if version and percent is None:
        raise InputError(f"--version {version} goes with --percent; --finish and --abort take the running canary")
    workspace = open_workspace()
    spec = model_spec(workspace.root, model)
    mode = check_mode(release) if release else None
    connections = workspace.connect()
    if percent is not None:
        done = start_canary(spec, connections, percent, version, mode)
    elif finish:
        done = finish_canary(spec, connections, mode)
    else:
        done = end_canary(connections.manifests_remote, model)
    done = proposed_by_hand(workspace, spec, done)
    tell_release(done, reconcile(connections, model), as_json)


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
    from delivery.releases.shadow import end_shadow, start_shadow

    one_of(("--version", version is not None), ("--off", off), ("--compare", compare is not None))
    workspace = open_workspace()
    spec = model_spec(workspace.root, model)
    if compare is not None:
        tell_comparison(spec, compare, url, shadow_url, as_json)
    elif version is not None:
        done = start_shadow(spec, workspace.connect(), version)
        tell_release(done, [], as_json)
    else:
        tell_release(end_shadow(workspace.connect().manifests_remote, model), [], as_json)


@app.command("reconcile", epilog="Example: ostinato reconcile")
def reconcile_(as_json: AsJson = False) -> None:
    """Make the registry's aliases follow the manifests repository, and mark versions whose pull request was closed.

    Run it as often as you like.
    """
    from delivery.releases.reconcile import reconcile
    from pipelines.proposals import reconcile_rejections
    from pipelines.wording import alias_lines, rejection_lines

    workspace = open_workspace()
    changes = reconcile(workspace.connect())
    rejections, note = reconcile_rejections(workspace)
    if note:
        print(note, file=sys.stderr)
    if as_json:
        print(json.dumps([asdict(change) for change in [*changes, *rejections]], indent=2))
    else:
        print(rejection_lines(rejections) + alias_lines(changes))


def proposed_by_hand(workspace: Any, spec: Any, done: Any) -> Any:
    """The release with its pull request, where it is proposed; what people rejected before is rejected no more."""
    from delivery.forges.choose import forge_of
    from delivery.releases.propose import propose
    from delivery.releases.rejection import overrule

    connections = workspace.connections
    at = forge_of(connections.manifests_remote, connections.forge)
    done = propose(at, spec, connections, done, by_hand=True)
    overrule(connections.tracking_uri, spec, done.version)
    return done


def tell_comparison(spec: Any, rows: Path, url: str | None, shadow_url: str | None, as_json: bool) -> None:
    from delivery.serving.clients.compare import check_comparable, compare_served
    from pipelines.serve.predict import read_rows
    from pipelines.wording import comparison_table

    check_comparable(spec.name, spec.task)
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
