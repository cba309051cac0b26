"""`ostinato serve`: on this machine what the cluster runs."""

import json
from pathlib import Path
from typing import Any

from components.deploy.release import live
from components.deploy.watch import Watch
from components.register.lookup import CANDIDATE, registry
from pipelines.follow import Choice, Follower, Post, listening, stopped_by_signals, tell
from pipelines.settings import Places
from training.errors import InputError, OstinatoError
from training.spec import ModelSpec

OWN_RUNTIME = "ostinato-mlflow"
"""What a replica on this machine is, whatever the spec names for the cluster."""


def serve_model(
    places: Places, spec: ModelSpec, version: str | None, candidate: bool, port: int, follow: bool = False
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
    chosen = choose(places, spec, version, candidate)
    with stopped_by_signals(), listening(port) as listener, Post(spec.name, listener) as post:
        tell(f"starting {spec.name} version {chosen.version} from {chosen.storage_uri}")
        if spec.serving.runtime != OWN_RUNTIME:
            tell(f"served here by {OWN_RUNTIME}; in the cluster {spec.serving.runtime} serves it")
        post.put(chosen)
        url = f"http://127.0.0.1:{port}"
        print(f"{spec.name} version {chosen.version} on {url}\n{curl_line(post.folder, spec.name, url)}", flush=True)
        if not follow:
            raise OstinatoError(f"the server of {spec.name} ended with exit code {post.wait()}")
        follower = Follower(post, Watch(places.manifests_remote, spec.name))
        while True:
            follower.step()


def choose(places: Places, spec: ModelSpec, version: str | None, candidate: bool) -> Choice:
    """What to serve: by git, or by the registry where a version or its candidate is asked for."""
    if not (version or candidate):
        found = live(places.manifests_remote, spec.name)
        if found is None:
            raise InputError(f"{spec.name} is not live yet; release it with: ostinato run {spec.name}")
        return Choice.of(found)
    reader = registry(places.tracking_uri)
    if candidate:
        version = reader.aliases(spec.registered_name).get(CANDIDATE)
        if version is None:
            raise InputError(
                f"--candidate: {spec.registered_name} has no candidate in the registry; make one with: "
                f"ostinato run {spec.name} --until register"
            )
    assert version is not None
    one = reader.version(spec.registered_name, version)
    if one is None:
        versions = reader.versions(spec.registered_name)
        known = ", ".join(each.version for each in versions) or f"none; make one with: ostinato run {spec.name}"
        raise InputError(f"--version {version}: {spec.registered_name} has versions {known}")
    return Choice(version, reader.storage_uri(one.name, version), one.digest, places.tracking_uri)


def curl_line(folder: Path, name: str, url: str) -> str:
    """A command that asks for the first row of the model's own input example."""
    from components.serving.signature import example_rows, read_signature

    model = f"{url}/v2/models/{name}"
    rows = example_rows(folder)
    if rows is None:
        return f"curl {model}"
    first = {str(column): plain(rows[column].iloc[0]) for column in rows}
    inputs = [
        {"name": one.name, "shape": [1], "datatype": one.datatype, "data": [first[one.name]]}
        for one in read_signature(folder)
    ]
    body = json.dumps({"inputs": inputs}).replace("'", r"'\''")
    return f"curl -s {model}/infer -H 'content-type: application/json' -d '{body}'"


def plain(value: Any) -> Any:
    """A value of a cell as JSON has it: null where it is missing, a moment as ISO 8601 text."""
    if value is None or value != value:
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
