"""Environments in the manifests repository: staging follows every release, a commit brings it to production."""

from dataclasses import dataclass

from delivery.git.change import Change, commit_change
from delivery.git.manifests import manifest_at
from delivery.git.repository import LIVE_BRANCH, ReleaseMode, Snapshot, open_repository
from delivery.kserve.manifest import LiveModel, Manifest, service_of
from delivery.releases.manifest_commit import ManifestCommit
from training.errors import InputError, OstinatoError
from training.folder import check_name

STAGING, PRODUCTION = "staging", "production"
HEADER = "# Written once, by the first {event}. It is yours from then on; nothing overwrites it.\n"

STAGING_PATCHES = """\
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
class Promotion(ManifestCommit):
    """What a promotion came to."""

    environment: str = PRODUCTION


def first_release_files(snapshot: Snapshot, name: str, namespace: str) -> dict[str, bytes]:
    """What a release of a model adds beside its manifest, by path: the kustomizations of the model and of staging.

    Nothing if the model has its kustomization, so that who deletes or edits either of them is not overruled.
    """
    model, staging = f"models/{name}/kustomization.yaml", f"environments/staging/{name}/kustomization.yaml"
    existing = snapshot.paths(model, staging)
    if model in existing:
        return {}
    files = {
        model: _kustomization("release", "inferenceservice.yaml"),
        staging: _kustomization("release", f"../../../models/{name}", f"{namespace}-staging", STAGING_PATCHES),
    }
    return {path: content for path, content in files.items() if path not in existing}


def check_environment(text: str) -> str:
    """The environment itself. Raises InputError unless models are promoted to it."""
    if text != PRODUCTION:
        raise InputError(f"--to is {text!r}; give {PRODUCTION}: staging follows every release by itself")
    return text


def check_source(text: str) -> str:
    """The environment that is promoted from. Raises InputError unless releases run there."""
    if text != STAGING:
        raise InputError(f"--from is {text!r}; give {STAGING}, which every release runs in first")
    return text


def production_path(name: str) -> str:
    """Where the manifest that production runs is in the repository."""
    return f"environments/{PRODUCTION}/{check_name(name)}/inferenceservice.yaml"


def in_production(manifests_remote: str, name: str) -> str:
    """The version that was promoted last, "" if none was. Raises InputError for a broken manifest."""
    with open_repository(manifests_remote) as repository:
        manifest = manifest_at(repository.snapshot(), name, production_path(name))
    return manifest.served.version if manifest else ""


def commit_promotion(manifests_remote: str, name: str, mode: ReleaseMode = "direct") -> Promotion:
    """Copy the model's released manifest, byte for byte, to where production reads it: one commit, there or proposed.

    Again changes nothing. Raises InputError if nothing is live or a canary is running, OstinatoError if another
    release of the model lands meanwhile: what was not looked at is not promoted.
    """
    seen: list[Manifest] = []

    def bring(snapshot: Snapshot) -> Change | None:
        manifest = manifest_at(snapshot, name)
        if manifest is None:
            raise InputError(f"{name} is not live, so there is nothing to promote; see `ostinato status`")
        seen.append(manifest)
        if manifest.content != seen[0].content:
            raise OstinatoError(f"another release of {name} landed while promoting; see `ostinato status {name}`")
        model = _decided(manifest.served)
        branch = LIVE_BRANCH if mode == "direct" else f"promote/{name}/{PRODUCTION}-v{model.version}"
        files = _missing_in_production(snapshot, manifest)
        return Change(production_path(name), files, _message(model), branch) if files else None

    committed = commit_change(manifests_remote, bring, "" if mode == "direct" else f"promote/{name}/*")
    return Promotion(name, seen[0].served.version, *committed)


def _decided(model: LiveModel) -> LiveModel:
    if model.canary:
        raise InputError(
            f"version {model.canary.version} of {model.name} is a canary, so what was released is not decided; "
            f"finish or abort it first, with `ostinato canary {model.name} --finish` or `--abort`"
        )
    return model


def _missing_in_production(snapshot: Snapshot, manifest: Manifest) -> dict[str, bytes]:
    """What has to be committed so that production has the manifest, by path; nothing if it has."""
    name = manifest.served.name
    target = production_path(name)
    kustomization = target.replace("inferenceservice.yaml", "kustomization.yaml")
    files = snapshot.read(target, kustomization)
    needed = {target: manifest.content}
    if kustomization not in files:
        service = service_of(manifest.documents, name)
        assert service, "the manifest was parsed"
        namespace = service["metadata"].get("namespace", "")
        needed[kustomization] = _kustomization("promotion", "inferenceservice.yaml", namespace)
    return {} if all(files.get(path) == content for path, content in needed.items()) else needed


def _kustomization(event: str, resource: str, namespace: str = "", patches: str = "") -> bytes:
    place = f"namespace: {namespace}\n" if namespace else ""
    return f"{HEADER.format(event=event)}resources:\n  - {resource}\n{place}{patches}".encode()


def _message(model: LiveModel) -> str:
    trailers = {
        "Ostinato-Model": model.name,
        "Ostinato-Version": model.version,
        "Ostinato-Environment": PRODUCTION,
        "Ostinato-Verdict": model.verdict_digest,
    }
    lines = "".join(f"{key}: {value}\n" for key, value in trailers.items())
    return f"Promote {model.name} v{model.version} to {PRODUCTION}\n\n{lines}"
