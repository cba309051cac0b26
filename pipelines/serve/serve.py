"""`ostinato serve`: on this machine what the cluster runs."""

import json
import tempfile
from pathlib import Path
from typing import Any

from delivery.registry.lookup import registry
from delivery.registry.versions import CANDIDATE, known_version
from delivery.releases.follow import Watch
from delivery.releases.live import live
from delivery.stores.fetch import fetch_model
from pipelines.serve.follow import Choice, Follower, Post, listening, stopped_by_signals, tell
from pipelines.settings.settings import Workspace
from training.errors import InputError, OstinatoError
from training.spec import ModelSpec

OWN_RUNTIME = "ostinato-mlflow"
"""Hands its address over to another version; other runtimes are started and stopped."""


def serve_model(
    workspace: Workspace, spec: ModelSpec, version: str | None, candidate: bool, port: int, follow: bool = False
) -> None:
    """Serve what git says is live, or a version of the registry, until Ctrl-C; returns then.

    The files come from the storage URI that the manifest (or the registry) names, and their digest is compared
    first. follow: when git names another version, that one takes over without a failed request. Raises InputError if
    nothing is live, the version does not exist or the port is taken; OstinatoError if the files differ, or the server
    does not come up or ends.
    """
    if version and candidate:
        raise InputError("--version and --candidate name two versions; give one of them")
    if follow and (version or candidate):
        raise InputError("--follow serves what git says is live; leave out --version and --candidate")
    chosen = choose(workspace, spec, version, candidate)
    if chosen.runtime != OWN_RUNTIME:
        if follow:
            raise InputError(f"--follow needs the runtime {OWN_RUNTIME}; {spec.name} is served by {chosen.runtime}")
        serve_by_another(spec, chosen, port)
        return
    with stopped_by_signals(), listening(port) as listener, Post(spec.name, listener) as post:
        tell(f"starting {spec.name} version {chosen.version} from {chosen.storage_uri}")
        post.put(chosen)
        url = f"http://127.0.0.1:{port}"
        print(f"{spec.name} version {chosen.version} on {url}\n{first_curl(post.folder, spec.name, url)}", flush=True)
        if not follow:
            raise OstinatoError(f"the server of {spec.name} ended with exit code {post.wait()}")
        follower = Follower(post, Watch(workspace.connections.manifests_remote, spec.name))
        while True:
            follower.step()


def serve_by_another(spec: ModelSpec, chosen: Choice, port: int) -> None:
    """Serve by another runtime than ours, as its entry of the table starts it, until Ctrl-C."""
    from delivery.serving.process.process import HELLO, serving

    name = spec.name
    with stopped_by_signals(), tempfile.TemporaryDirectory(prefix="ostinato-serve-") as scratch:
        with listening(port):
            pass  # it is free; otherwise who has it would be taken for the server
        folder = Path(scratch)
        tell(f"starting {name} version {chosen.version} from {chosen.storage_uri}, by {chosen.runtime}")
        fetch_model(name, chosen.version, chosen.storage_uri, chosen.digest, folder, chosen.tracking_uri)
        engine = spec.serving.engine
        with serving(folder, name, None, chosen.runtime, chosen.protocol, http_port=port, engine=engine) as served:
            print(f"{name} version {chosen.version} on {served.url}, by {served.ran}")
            if served.openai:
                print(f"base_url: {served.openai}   model: {name}   or: ostinato chat {name} --url {served.url}")
                question = {"model": name, "messages": list(HELLO), "max_tokens": 64}
                print(curl(f"{served.openai}/chat/completions", question), flush=True)
            else:
                print(first_curl(folder, name, served.url, chosen.protocol), flush=True)
            raise OstinatoError(f"the server of {name} ended with exit code {served.wait()}")


def first_curl(folder: Path, name: str, url: str, protocol: str = "v2") -> str:
    """A command that asks for the first row of the model's own input example. url: where it is served."""
    from delivery.serving.clients.predict import ServedModel
    from delivery.serving.server.signature import example_rows

    rows = example_rows(folder)
    if rows is None:
        return f"curl {url}/v2/models/{name}"
    path = f"v2/models/{name}/infer" if protocol == "v2" else f"v1/models/{name}:predict"
    return curl(f"{url}/{path}", ServedModel(url, name, protocol=protocol).request(rows.head(1)))


def choose(workspace: Workspace, spec: ModelSpec, version: str | None, candidate: bool) -> Choice:
    """What to serve: by git, or by the registry where a version or its candidate is asked for."""
    if not (version or candidate):
        live_model = live(workspace.connections.manifests_remote, spec.name)
        if live_model is None:
            raise InputError(f"{spec.name} is not live yet; release it with: ostinato run {spec.name}")
        return Choice.of(live_model)
    reader = registry(workspace.connections.tracking_uri)
    if candidate:
        version = reader.aliases(spec.registered_name).get(CANDIDATE)
        if version is None:
            raise InputError(
                f"--candidate: {spec.registered_name} has no candidate in the registry; make one with: "
                f"ostinato run {spec.name} --until register"
            )
    assert version is not None
    registered = known_version(reader, spec.registered_name, version, f"; make one with: ostinato run {spec.name}")
    uri, serving = reader.storage_uri(registered.name, version), spec.serving
    return Choice(
        version, uri, registered.digest, serving.runtime, serving.protocol, workspace.connections.tracking_uri
    )


def curl(url: str, body: dict[str, Any]) -> str:
    text = json.dumps(body).replace("'", r"'\''")
    return f"curl -s {url} -H 'content-type: application/json' -d '{text}'"
