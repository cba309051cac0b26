"""`ostinato submit`: a model's pipeline on a remote backend, once for each key, followed to its end."""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from delivery.addresses import redact
from delivery.releases.release import check_mode
from delivery.stores.sources import snapshot
from pipelines.backends.remote import PART_OF, BackendClient, RemoteRun, Submission, keyed_run, label
from pipelines.backends.table import find_remote_backend
from pipelines.package.package import code_version, package_file
from pipelines.run import new_run_id, override
from pipelines.settings.settings import Workspace
from pipelines.step_names import STEPS, check_step
from training.errors import InputError
from training.folder import model_folder, model_spec
from training.spec import ModelSpec

_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")


def connect(workspace: Workspace, backend: str) -> BackendClient:
    """A client of the backend, by the settings.

    Raises InputError for an unknown one, for one that is not remote, or for missing settings.
    """
    client = find_remote_backend(backend).client
    assert client is not None, "a remote backend has a client"
    return client(workspace.settings.of_backend(backend))


def submit_model(
    workspace: Workspace,
    name: str,
    backend: str,
    *,
    key: str | None = None,
    trigger: str = "manual",
    data: str | None = None,
    until: str = "deploy",
    parameters: Mapping[str, str] | None = None,
    release: str | None = None,
    cache: bool = True,
) -> RemoteRun:
    """Start a model's pipeline on a remote backend.

    key: what asked for the run; equal keys of a model give one run, which is found again. trigger: a word for what
    asked, a label of the run. data: URI instead of the spec's source. The others are those of `ostinato run`. Raises
    InputError for settings that a backend can't reach, before anything is sent, and OstinatoError if the backend
    can't be used.
    """
    client = connect(workspace, backend)
    spec, as_of = override(model_spec(workspace.root, name), dict(parameters or {}), workspace.root)
    unseen = () if is_seen_here(workspace, data or spec.data.source, backend) else STEPS[:1]
    package = package_for(workspace, spec, backend, check_step(until), unseen if cache else STEPS)
    arguments = remote_arguments(workspace, spec, data, backend) | {
        "as_of": as_of,
        "release": check_mode(release) if release else spec.release.mode,
    }
    return client.submit(
        Submission(
            run=keyed_run(name, key) if key else new_run_id(name),
            model=name,
            package=package,
            arguments=arguments,
            labels=labels_of(workspace, name, trigger),
            description=spec.description,
            pipeline="" if until == STEPS[-1] else f"{name}-until-{until}",
        )
    )


def package_for(
    workspace: Workspace, spec: ModelSpec, backend: str, until: str = "deploy", fresh: Collection[str] = ()
) -> Path:
    """The package that the backend takes. Raises InputError for an image that is not named by digest."""
    if not _DIGEST.fullmatch(workspace.image):
        raise InputError(
            f"image {workspace.image!r} is not named by its digest, and every run would mean what a tag means that "
            "day: set OSTINATO_IMAGE, or --set image=REGISTRY/ostinato@sha256:..."
        )
    return package_file(
        workspace.root,
        spec,
        image=workspace.image,
        until=until,
        backend=backend,
        cache=workspace.packages,
        settings=workspace.settings,
        fresh=fresh,
    )


def is_seen_here(workspace: Workspace, source: str, backend: str) -> bool:
    """Whether data can be looked at from here: not a `file:///` address of a folder that the settings mount into the
    backend's steps, and that this machine does not have."""
    path = Path(urlsplit(source).path)
    mounted = any(path.is_relative_to(mount) for mount in workspace.settings.of_backend(backend).mounts)
    return not (source.startswith("file:///") and mounted and not path.exists())


def remote_arguments(workspace: Workspace, spec: ModelSpec, data: str | None, backend: str) -> dict[str, str]:
    """The pipeline's parameters for a remote backend, which its steps can all reach. Raises InputError otherwise."""
    tracking_uri, remote = workspace.connections.tracking_uri, workspace.connections.manifests_remote
    if urlsplit(tracking_uri).scheme not in ("http", "https"):
        raise InputError(
            f"tracking_uri {tracking_uri!r} is on this machine, and a backend's steps can't reach it: set "
            "OSTINATO_TRACKING_URI to the URL of an MLflow server"
        )
    if "://" not in remote and not re.match(r"[\w.-]+@[\w.-]+:", remote):
        raise InputError(
            f"manifests_remote {remote!r} is on this machine, and a backend's steps can't reach it: set "
            "OSTINATO_MANIFESTS_REMOTE to the URL of a git repository"
        )
    if data is not None and "://" not in data:
        raise InputError(f"--data {data!r} is on this machine, and a backend's steps can't reach it: give a URI")
    source = data or spec.data.source
    seen = is_seen_here(workspace, source, backend)
    arguments = {
        # A source in the model's folder is in the image, too.
        "data_uri": source if "://" in source else "",
        "data_snapshot": snapshot(source, model_folder(workspace.root, spec.name), spec.data) if seen else "",
        **asdict(workspace.connections),
        "code_version": code_version(workspace.root),
    }
    check_arguments(arguments)
    return arguments


_SETTING = {"data_uri": "--data or data.source", "data_snapshot": "the data"}
"""What a person sets, where it has another name than the pipeline's parameter."""


def check_arguments(arguments: Mapping[str, str]) -> None:
    """Raises InputError for text that Argo Workflows or Kubeflow Pipelines would change on the way to a step."""
    for name, text in arguments.items():
        if "{{" in text:
            raise InputError(
                f"{_SETTING.get(name, name)}: {redact(text)!r} has double braces, which Argo Workflows and Kubeflow "
                "Pipelines expand in every argument: use an address without them"
            )


def labels_of(workspace: Workspace, name: str, trigger: str) -> dict[str, str]:
    """By which the runs of a backend are found: the model, the commit, what asked for the run, and that it is ours."""
    labels = {"model": name, "commit": code_version(workspace.root), "trigger": trigger, "part-of": PART_OF}
    return {key: label(value) for key, value in labels.items()}
