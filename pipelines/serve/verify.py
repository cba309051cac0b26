"""`ostinato verify`: after a deploy, the live endpoint answers as it was judged, and is the version that git names."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from delivery.documents.sample import Sample
from delivery.registry.judged import fetch_sample
from delivery.registry.lookup import registry
from delivery.registry.versions import ModelVersion, known_version
from delivery.releases.live import live
from delivery.serving.clients.chat import ChatModel, openai_url
from delivery.serving.clients.predict import ServedModel
from delivery.serving.proof.prove import compare
from delivery.serving.proof.prove_chat import compare_texts
from delivery.serving.runtimes import runtime_of
from pipelines.settings.settings import Workspace
from training.errors import GateRefused, InputError, OstinatoError
from training.spec import TASKS, ModelSpec, Task

AGAIN_S = 2.0
"""Between two tries with ``--wait``."""


@dataclass(frozen=True)
class Verified:
    """An endpoint that is what git says it is."""

    model: str
    version: str
    digest: str
    url: str
    rows: int
    worst_difference: float
    """Numbers: the largest relative difference from the offline predictions. Classes: 0. Texts: the share of the
    questions that are answered in other words."""
    named: bool
    """Whether the endpoint says its model digest; one that does not is known by its answers alone. OpenAI's protocol
    has no place for it, and answers that may differ a little are weaker evidence than a digest."""
    task: Task


def verify_model(
    workspace: Workspace, spec: ModelSpec, url: str, version: str | None = None, wait_s: float = 0
) -> Verified:
    """Ask the endpoint for the sample that the version was proven with.

    version: of the registry, instead of what git says is live. wait_s: seconds to try again while a rollout goes on.
    Raises GateRefused with the reason when the endpoint is not that version, or does not answer as it was judged;
    InputError when nothing is live, a canary runs, or the version has no sample; OstinatoError when its evidence was
    changed.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--url {url!r} is no address; write one such as https://{spec.name}.example.org")
    registered = version_to_verify(workspace, spec, version)
    sample = fetch_sample(workspace.connections.tracking_uri, registered)
    if spec.is_language_model:
        url = openai_url(url, runtime_of(spec, workspace.root).openai_path)
    return _tried(lambda: ask(spec, url, registered, sample), wait_s)


def version_to_verify(workspace: Workspace, spec: ModelSpec, version: str | None) -> ModelVersion:
    """The version that git names, with the digest that git names."""
    reader = registry(workspace.connections.tracking_uri)
    if version is not None:
        return known_version(reader, spec.registered_name, version)
    running = live(workspace.connections.manifests_remote, spec.name)
    if running is None:
        raise InputError(f"{spec.name} is not live yet; release it with: ostinato run {spec.name}")
    if running.canary:
        raise InputError(
            f"version {running.canary.version} of {spec.name} is a canary, so one address answers with two versions; "
            f"name one with --version and the address of its own service, or end the canary first: "
            f"ostinato canary {spec.name} --finish or --abort"
        )
    registered = reader.version(running.registered_model, running.version)
    if registered is None or registered.digest != running.digest:
        raise OstinatoError(
            f"the manifest of {spec.name} names version {running.version} with digest {running.digest}, the registry "
            f"has it with {registered.digest if registered else 'no such version'}; see: ostinato status {spec.name}"
        )
    return registered


def ask(spec: ModelSpec, url: str, version: ModelVersion, sample: Sample) -> Verified:
    """One try. Raises GateRefused with what is not as it should be, InputError for questions that can't be asked."""
    called = f"{url} is not {spec.name} version {version.version}"
    try:
        compared = _compare_texts if spec.is_language_model else _compare_rows
        worst, named = compared(spec, url, version, sample, called)
    except GateRefused:
        raise
    except InputError as error:
        if spec.is_language_model:
            raise
        raise GateRefused(f"{called}: it wants other columns; {error}") from error
    except OstinatoError as error:
        raise GateRefused(f"{called}: {error}") from error
    _check_difference(called, worst, sample)
    return Verified(spec.name, version.version, version.digest, url, len(sample.expected), worst, named, sample.task)


def _compare_rows(spec: ModelSpec, url: str, version: ModelVersion, sample: Sample, called: str) -> tuple[float, bool]:
    """The largest difference, and whether the endpoint says its digest."""
    model = ServedModel(url, spec.name, protocol=spec.serving.protocol)
    digests = [name for name in model.versions if name.startswith("sha256:")]
    if digests and version.digest not in digests:
        raise GateRefused(f"{called}: it serves the model with digest {digests[0]}, not {version.digest}")
    return compare(model, sample), version.digest in digests


def _compare_texts(spec: ModelSpec, url: str, version: ModelVersion, sample: Sample, called: str) -> tuple[float, bool]:
    """Over OpenAI's protocol, which has no place for a digest."""
    model = ChatModel(url, spec.name)
    names = model.models()
    if spec.name not in names:
        raise GateRefused(f"{called}: it serves {', '.join(names) or 'no model'}")
    return compare_texts(model, sample), False


def _check_difference(called: str, worst: float, sample: Sample) -> None:
    """Raises GateRefused if the endpoint answers otherwise than the version did when it was judged."""
    if not worst <= sample.tolerance:
        how = f"{worst:.3g} of its value" if TASKS[sample.task].answers == "numbers" else f"{worst:.2%} of the rows"
        raise GateRefused(
            f"{called}: of {len(sample.expected)} rows of the test sample it answers otherwise than it was judged, by "
            f"{how}; at most {sample.tolerance:g} is allowed"
        )


def _tried(attempt: Callable[[], Verified], wait_s: float) -> Verified:
    """Again until it holds or the time is up; then the last reason counts."""
    end = time.monotonic() + wait_s
    while True:
        try:
            return attempt()
        except GateRefused:
            left = end - time.monotonic()
            if left <= 0:
                raise
            time.sleep(min(AGAIN_S, left))
