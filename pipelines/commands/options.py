"""Arguments and options that several commands have."""

from typing import Annotated

import typer

from pipelines.backends.table import ROWS
from training.errors import InputError
from training.folder import model_names, workspace_root


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
Set = Annotated[
    list[str] | None, typer.Option("--set", help="NAME=VALUE, such as vertex.region=europe-west4. Repeatable.")
]
ReleaseOption = Annotated[str | None, typer.Option(help="direct or pull-request instead of the spec's mode.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", help="name=value: as_of (ISO date or time) or a hyperparameter. Repeatable."),
]
Until = Annotated[str, typer.Option(help="Last step: preprocess, train, evaluate, register or deploy.")]
RemoteBackend = Annotated[str, typer.Option(help=f"One of {', '.join(row.name for row in ROWS if row.client)}.")]
AnyBackend = Annotated[str, typer.Option(help=f"One of {', '.join(row.name for row in ROWS)}.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
