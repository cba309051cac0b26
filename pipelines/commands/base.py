"""What the commands share: the application, and where this workspace keeps things."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from training.errors import InputError
from training.folder import model_spec, workspace_root

if TYPE_CHECKING:
    from pipelines.settings.settings import Workspace
    from training.spec import ModelSpec

app = typer.Typer(
    help="Continuous training: from new data to a served champion, exactly once, with the evidence.",
    epilog="Exit codes: 0 done, 1 the run failed, 2 wrong input or configuration, 3 checks failed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
testset = typer.Typer(help="The fixed test set of a model.", no_args_is_help=True)
app.add_typer(testset, name="testset")


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    pass


def open_workspace(given: list[str] | None = None) -> "Workspace":
    """Where this workspace keeps things; outside of one, where the environment says, if it says everything.

    given: settings as ``name=value``, which go before all others.
    """
    from pipelines.settings.settings import load_workspace

    flags: Mapping[str, object] = {}
    if given:
        from pipelines.settings.in_force import parse_given

        flags = parse_given(given)
    try:
        root = workspace_root()
    except InputError:
        workspace = load_workspace(Path.cwd(), flags)
        if workspace.embedded_registry or workspace.embedded_manifests:
            raise
        return workspace
    return load_workspace(root, flags)


def open_model(name: str, given: list[str] | None = None) -> "tuple[Workspace, ModelSpec]":
    """The workspace, and the spec of one of its models. given: as of :func:`open_workspace`."""
    workspace = open_workspace(given)
    return workspace, model_spec(workspace.root, name)


def print_result(result: Any, as_json: bool, render: Callable[[Any], str]) -> None:
    """A dataclass, or several, as one JSON document or as text."""
    if as_json:
        rows = cast("Sequence[Any]", result)
        document = [asdict(row) for row in rows] if isinstance(result, Sequence) else asdict(result)
        print(json.dumps(document, indent=2))
    else:
        print(render(result))


def check_exactly_one(*options: tuple[str, bool]) -> None:
    """Raises InputError unless exactly one of the options was given."""
    given = [name for name, is_given in options if is_given]
    if len(given) != 1:
        names = ", ".join(name for name, _ in options)
        raise InputError(f"give exactly one of {names}; given: {' and '.join(given) or 'none'}")
