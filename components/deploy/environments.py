"""Environments in the manifests repository: staging follows every release, a commit brings it to production."""

from dataclasses import dataclass

from components.deploy.documents import from_bytes
from components.deploy.manifest import LiveModel, manifest_path, parse, service_of
from components.deploy.repository import LIVE_BRANCH, Snapshot, open_repository, transact
from training.errors import InputError, OstinatoError

PRODUCTION = "production"
HEADER = "# Written once, by the first {event}. It is yours from then on; nothing overwrites it.\n"

_STAGING_PATCHES = """\
patches:
  # One replica is enough to try a model.
  - target: {kind: InferenceService}
    patch: |
      - {op: add, path: /spec/predictor/minReplicas, value: 1}
      - {op: add, path: /spec/predictor/maxReplicas, value: 1}
  - target: {kind: LLMInferenceService}
    patch: |
      - {op: add, path: /spec/replicas, value: 1}
  # The hostname that applications call is production's.
  - target: {kind: HTTPRoute}
    patch: |
      $patch: delete
      apiVersion: gateway.networking.k8s.io/v1
      kind: HTTPRoute
      metadata: {name: any}
"""


@dataclass(frozen=True)
class Promotion:
    """What a promotion came to."""

    model: str
    version: str
    environment: str
    commit: str
    """The commit that brought it there if `changed`, else the live branch's tip, which had it already."""
    changed: bool


def first_release_files(snapshot: Snapshot, name: str, namespace: str) -> dict[str, bytes]:
    """What a release of a model adds beside its manifest, by path: the kustomizations of the model and of staging.

    Nothing if the model has its kustomization, so that who deletes or edits either of them is not overruled.
    """
    model, staging = f"models/{name}/kustomization.yaml", f"environments/staging/{name}/kustomization.yaml"
    existing = snapshot.read(model, staging)
    if model in existing:
        return {}
    header = HEADER.format(event="release")
    base = f"resources:\n  - ../../../models/{name}\nnamespace: {namespace}-staging\n"
    wanted = {
        model: f"{header}resources:\n  - inferenceservice.yaml\n".encode(),
        staging: f"{header}{base}{_STAGING_PATCHES}".encode(),
    }
    return {path: content for path, content in wanted.items() if path not in existing}


def check_environment(text: str) -> str:
    """The environment itself. Raises InputError unless models are promoted to it."""
    if text != PRODUCTION:
        raise InputError(f"--to is {text!r}; give {PRODUCTION}: staging follows every release by itself")
    return text


def in_production(manifests_remote: str, name: str) -> str:
    """The version that was promoted last, "" if none was. Raises InputError for a broken manifest."""
    path = f"environments/{PRODUCTION}/{name}/inferenceservice.yaml"
    with open_repository(manifests_remote) as repository:
        snapshot = repository.snapshot()
        content = snapshot.read(path).get(path)
    return parse(content, name, snapshot.commit).version if content is not None else ""


def promote_to_production(manifests_remote: str, name: str) -> Promotion:
    """Copy the model's released manifest, byte for byte, to where production reads it, in one commit.

    Again changes nothing. Raises InputError if nothing is live or a canary is running, OstinatoError if another
    release of the model lands meanwhile: what was not looked at is not promoted.
    """
    source, folder = manifest_path(name), f"environments/{PRODUCTION}/{name}"
    target, kustomization = f"{folder}/inferenceservice.yaml", f"{folder}/kustomization.yaml"
    seen: dict[str, bytes] = {}
    at: dict[str, str] = {}
    with open_repository(manifests_remote) as repository:

        def attempt() -> tuple[str, str, str] | None:
            snapshot = repository.snapshot()
            files = snapshot.read(source, target, kustomization)
            if source not in files:
                raise InputError(f"{name} is not live, so there is nothing to promote; see `ostinato status`")
            content = files[source]
            if seen.setdefault("content", content) != content:
                raise OstinatoError(f"another release of {name} landed while promoting; see `ostinato status {name}`")
            model = parse(content, name, snapshot.commit)
            if model.canary:
                raise InputError(
                    f"version {model.canary.version} of {name} is a canary, so what was released is not decided; "
                    f"finish or abort it first, with `ostinato canary {name} --finish` or `--abort`"
                )
            at.update(version=model.version, commit=snapshot.commit)
            wanted = {target: content}
            if kustomization not in files:
                service = service_of(from_bytes(content), name)
                assert service, "parse has found it"
                wanted[kustomization] = _kustomization(service["metadata"].get("namespace", ""))
            if all(files.get(path) == one for path, one in wanted.items()):
                return None
            return repository.commit(wanted, _message(model), snapshot.commit), LIVE_BRANCH, snapshot.commit

        pushed = transact(repository, attempt)
    return Promotion(name, at["version"], PRODUCTION, pushed or at["commit"], changed=pushed is not None)


def _kustomization(namespace: str) -> bytes:
    header = HEADER.format(event="promotion")
    place = f"namespace: {namespace}\n" if namespace else ""
    return f"{header}resources:\n  - inferenceservice.yaml\n{place}".encode()


def _message(model: LiveModel) -> str:
    trailers = {
        "Ostinato-Model": model.name,
        "Ostinato-Version": model.version,
        "Ostinato-Environment": PRODUCTION,
        "Ostinato-Verdict": model.verdict_digest,
    }
    lines = "".join(f"{key}: {value}\n" for key, value in trailers.items())
    return f"Promote {model.name} v{model.version} to {PRODUCTION}\n\n{lines}"
