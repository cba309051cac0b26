"""Commands that serve a model, ask one, and compare what answers with what git names."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import app, open_model, print_result
from pipelines.commands.options import AsJson, Model
from training.folder import model_spec, workspace_root

Version = Annotated[str | None, typer.Option(help="Version of the registry instead of what git says is live.")]


@app.command(epilog="Examples: ostinato serve demand-forecaster --port 8080; ostinato serve demand-forecaster --follow")
def serve(
    model: Model,
    version: Version = None,
    candidate: Annotated[bool, typer.Option("--candidate", help="The registry's candidate instead.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8080,
    follow: Annotated[
        bool, typer.Option("--follow", help="When git names another version, it takes over; no request fails.")
    ] = False,
) -> None:
    """Serve the live model here, from the storage URI in its manifest, until Ctrl-C (Open Inference Protocol; OpenAI's
    for a language model)."""
    from pipelines.serve.serve import serve_model

    workspace, spec = open_model(model)
    workspace.connect()
    serve_model(workspace, spec, version, candidate, port, follow)


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
    from pipelines.serve.predict import format_rows, predict_rows

    _, spec = open_model(model)
    print(format_rows(predict_rows(url, spec, rows), as_json))


@app.command(
    epilog="Examples: ostinato chat llm-qa 'What is a spec?'; ostinato chat llm-qa --url https://llm.example.org"
)
def chat(
    model: Model,
    question: Annotated[str | None, typer.Argument(help="One question; without it you talk until Ctrl-D.")] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Where it is served: an address, or a base URL that ends with /v1. Here unless given."),
    ] = None,
    system: Annotated[str, typer.Option(help="A system message in place of the model's own.")] = "",
) -> None:
    """Talk to a served language model; its answers appear as they are made (OpenAI protocol)."""
    from pipelines.serve.chat import chat as talk

    root = workspace_root()
    talk(root, model_spec(root, model), url, system, question)


@app.command(epilog="Example: ostinato verify demand-forecaster --url https://demand-forecaster.example.org --wait 300")
def verify(
    model: Model,
    url: Annotated[str, typer.Option(help="Of the live endpoint.")],
    version: Version = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to try again while a rollout goes on.")] = 0,
    as_json: AsJson = False,
) -> None:
    """After a deploy: the endpoint is the version that git names, and answers the test sample as it was judged.

    Exit code 3 when not.
    """
    from pipelines.serve.verify import verify_model
    from pipelines.wording import format_verified

    workspace, spec = open_model(model)
    workspace.connect()
    verified = verify_model(workspace, spec, url, version, wait)
    print_result(verified, as_json, format_verified)
