"""The command that waits for events."""

from typing import Annotated

import typer

from pipelines.commands.base import Set, app, open_workspace

events = typer.Typer(help="Events that start runs: new data, a new base model, drift.", no_args_is_help=True)
app.add_typer(events, name="events")


@events.command(epilog="Example, as on Cloud Run: ostinato events serve --host 0.0.0.0 --port $PORT")
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, envvar="PORT", help="To listen on.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 in a container.")] = "127.0.0.1",
    set_: Set = None,
) -> None:
    """Take events of Pub/Sub, Eventarc, MLflow and the drift watch, and submit what they ask for, each once."""
    import uvicorn

    from pipelines.events.serve import workspace_app

    uvicorn.run(workspace_app(open_workspace(set_)), host=host, port=port, access_log=False, log_level="warning")
