"""Commands that ask whether what is live can be trusted, and sign what is to go live."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import app, open_model, print_result
from pipelines.commands.options import AsJson, Model
from training.errors import GateRefused, OstinatoError


@app.command(epilog="Examples: ostinato audit demand-forecaster; ostinato audit demand-forecaster --version 3 --json")
def audit(
    model: Model,
    version: Annotated[str | None, typer.Option(help="Of the registry, instead of what git says is live.")] = None,
    as_json: AsJson = False,
) -> None:
    """Follow what is live back to its data and code, and say at each link whether it holds. Exit 1 if one is broken."""
    from delivery.trust.audit import audit
    from pipelines.wording import render_audit

    workspace, spec = open_model(model)
    chain = audit(spec, workspace.root, workspace.connect(), version)
    print_result(chain, as_json, render_audit)
    if chain.broken:
        names = ", ".join(step.name for step in chain.broken)
        raise OstinatoError(f"the chain of {model} version {chain.version} is broken at: {names}")


@app.command(epilog="Example: OSTINATO_SIGNING_KEY_FILE=key.pem ostinato sign demand-forecaster --version 3")
def sign(model: Model, version: Annotated[str, typer.Option(help="Of the registry.")]) -> None:
    """Sign a version that was registered without a signature, if its files are still the registered ones."""
    from delivery.trust.sign_existing_version import sign_registered

    workspace, spec = open_model(model)
    changed = sign_registered(workspace.connections.tracking_uri, spec.registered_name, version)
    print(f"version {version} of {model} {'is signed' if changed else 'was signed already; nothing changed'}")


@app.command(
    "verify-change",
    epilog="Example, in a checkout of the manifests repository: ostinato verify-change origin/main..HEAD",
)
def verify_change_(
    commits: Annotated[str, typer.Argument(metavar="BASE..HEAD", help="Two commits of the manifests repository.")],
    repository: Annotated[str, typer.Option(help="Its checkout, or its URL.")] = ".",
    as_json: AsJson = False,
) -> None:
    """For CI on the manifests repository: refuse what was not judged and registered, or what the policy forbids."""
    from delivery.trust.change import verify_change
    from pipelines.settings.settings import load_workspace
    from pipelines.wording import render_change

    files = verify_change(repository, commits, load_workspace(Path.cwd()).connections)
    print_result(files, as_json, render_change)
    refused = [f"  {file.path}: {why}" for file in files for why in file.problems]
    if refused:
        raise GateRefused("the change may not be merged:\n" + "\n".join(refused))
