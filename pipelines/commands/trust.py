"""Commands that ask whether what is live can be trusted, and sign what is to go live."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from pipelines.commands.base import AsJson, Model, app, manifests, places
from training.errors import OstinatoError
from training.folder import model_spec


@app.command(epilog="Examples: ostinato audit demand-forecaster; ostinato audit demand-forecaster --version 3 --json")
def audit(
    model: Model,
    version: Annotated[str | None, typer.Option(help="Of the registry, instead of what git says is live.")] = None,
    as_json: AsJson = False,
) -> None:
    """Follow what is live back to its data and code, and say at each link whether it holds. Exit 1 if one is broken."""
    from components.trust.audit import audit
    from pipelines.wording import audit_table

    here = places()
    found = audit(model_spec(here.root, model), here.root, here.tracking_uri, manifests(here), version)
    print(json.dumps(asdict(found), indent=2) if as_json else audit_table(found))
    if found.broken:
        names = ", ".join(link.name for link in found.broken)
        raise OstinatoError(f"the chain of {model} version {found.version} is broken at: {names}")


@app.command(epilog="Example: OSTINATO_SIGNING_KEY_FILE=key.pem ostinato sign demand-forecaster --version 3")
def sign(
    model: Model,
    version: Annotated[str, typer.Option(help="Of the registry.")],
) -> None:
    """Sign a version that was registered without a signature, if its files are still the registered ones."""
    from components.trust.late import sign_registered

    here = places()
    spec = model_spec(here.root, model)
    changed = sign_registered(here.tracking_uri, spec.registered_name, version)
    print(f"version {version} of {model} {'is signed' if changed else 'was signed already; nothing changed'}")
