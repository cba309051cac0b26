"""The audit: from what git says is live, link by link, back to data and code; a broken link does not stop it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from delivery.connections import Connections
from delivery.documents.data_card import DATA_CARD_FILE, DataCard
from delivery.documents.sample import SAMPLE_FILE, Sample
from delivery.documents.verdict import Verdict
from delivery.git.repository import LIVE_BRANCH, Snapshot, open_repository
from delivery.kserve.manifest import LiveModel, manifest_path
from delivery.kserve.parse import parse
from delivery.registry.judged import VERDICT_FILE
from delivery.registry.lookup import registry
from delivery.registry.mlflow import mlflow_client
from delivery.registry.run_files import RunFiles
from delivery.registry.versions import CHAMPION, VERDICT_TAG, ModelVersion, Registry, known_version
from delivery.trust.audit_step import AuditStep, checked, holds, not_checked
from delivery.trust.keys import Verifier, configured_verifier
from delivery.trust.manual_edits import manual_edit_problem
from delivery.trust.origin import code_step, data_step, spec_step
from delivery.trust.release_check import (
    UNSIGNED,
    fetch_problems,
    read_document,
    signature_problems,
    statement_problems,
    verdict_problems,
)
from delivery.trust.signing import SIGNATURE_FILE
from delivery.trust.statement import STATEMENT_FILE, STATEMENT_TAG, read_envelope
from training.errors import InputError
from training.spec import ModelSpec

NO_KEY = "there is no key to verify it with; set OSTINATO_VERIFY_KEY_FILE"


@dataclass(frozen=True)
class Audit:
    """What an audit came to."""

    model: str
    version: str
    links: tuple[AuditStep, ...]
    """The steps, called so in `--json`."""

    @property
    def broken(self) -> tuple[AuditStep, ...]:
        return tuple(step for step in self.links if step.state == "broken")


def audit(spec: ModelSpec, root: Path, connections: Connections, version: str | None = None) -> Audit:
    """Follow the chain of what is live, or of a version of the registry.

    Raises InputError if nothing is live or the version is not known, OstinatoError if git or the registry can't be
    read: then nothing is known.
    """
    tracking_uri = connections.tracking_uri
    reader = registry(tracking_uri)
    live, manifest = _manifest_step(spec, connections.manifests_remote, version)
    if version is not None:
        known_version(reader, spec.registered_name, version)
    chosen = version or (live.version if live else reader.aliases(spec.registered_name).get(CHAMPION, ""))
    registered = reader.version(spec.registered_name, chosen) if chosen else None
    if registered is None:
        missing = AuditStep("registry", "broken", f"version {chosen or 'none'} of {spec.registered_name} is not there")
        return Audit(spec.name, chosen, (manifest, missing))
    verifier, files = configured_verifier(), RunFiles(mlflow_client(tracking_uri), registered.run_id)
    links = [manifest, _registry_step(live, registered, reader)]
    links += _model_steps(tracking_uri, live, registered, reader, files, verifier)
    links += [
        _statement_step(registered, files, verifier),
        checked("verdict", verdict_problems(registered, files), "a pass"),
    ]
    links.append(_sample_step(registered, files))
    card, card_step = _card_step(registered, files)
    code, spec_digest = registered.facts["code_version"], registered.facts["spec_digest"]
    links += [card_step, data_step(card, spec, root), code_step(code, root), spec_step(spec_digest, code, spec, root)]
    return Audit(spec.name, registered.version, tuple(links))


def _manifest_step(spec: ModelSpec, remote: str, version: str | None) -> tuple[LiveModel | None, AuditStep]:
    """What is live, unless the manifest is broken or names another version than the one that was asked for."""
    path = manifest_path(spec.name)
    with open_repository(remote) as repository:
        tips = repository.fetch(LIVE_BRANCH, "release/*", history=True)
        snapshot = Snapshot(repository, tips[LIVE_BRANCH])
        content = snapshot.read(path).get(path)
        if content is None and version is None:
            raise InputError(f"{spec.name} is not live yet; release it with: ostinato run {spec.name}")
        if content is None:
            return None, not_checked("manifest", "the model is not live")
        try:
            live = parse(content, spec.name, snapshot.commit).served
        except InputError as error:
            return None, AuditStep("manifest", "broken", str(error))
        if version is not None and live.version != version:
            return None, not_checked("manifest", f"version {live.version} is live")
        problem = manual_edit_problem(repository, snapshot.commit, spec.name)
    detail = f"as released, in commit {snapshot.commit[:12]}"
    return live, checked("manifest", [problem] if problem else [], detail)


def _registry_step(live: LiveModel | None, registered: ModelVersion, reader: Registry) -> AuditStep:
    """Whether the registry's version says what the manifest says."""
    if live is None:
        return holds("registry", f"version {registered.version} of {registered.name}, by the registry alone")
    compared = {
        "registered model": (live.registered_model, registered.name),
        "model digest": (live.digest, registered.digest),
    }
    compared |= {name.replace("_", " "): (getattr(live, name), known) for name, known in registered.facts.items()}
    problems = [
        f"the manifest's {what} is {served or 'none'}, the registry has {known or 'none'}"
        for what, (served, known) in compared.items()
        if served != known
    ]
    verdict = registered.tags.get(VERDICT_TAG, "none")
    if verdict != "pass":
        problems.append(f"the registry's verdict is {verdict}, not pass")
    previous = live.previous_version
    if previous and reader.version(registered.name, previous) is None:
        problems.append(f"the previous version {previous} is not there")
    return checked(
        "registry", problems, f"version {registered.version} of {registered.name} says what the manifest says"
    )


def _model_steps(
    tracking_uri: str,
    live: LiveModel | None,
    registered: ModelVersion,
    reader: Registry,
    files: RunFiles,
    verifier: Verifier | None,
) -> list[AuditStep]:
    """The bytes of the model folder, and their signature."""
    uri = live.storage_uri if live else reader.storage_uri(registered.name, registered.version)
    digest = live.digest if live else registered.digest
    with tempfile.TemporaryDirectory(prefix="ostinato-trust-") as scratch:
        folder = Path(scratch)
        bytes_step = checked("model folder", fetch_problems(uri, folder, digest, tracking_uri), f"{digest} at {uri}")
        signature = files.get(SIGNATURE_FILE)
        if signature is None and verifier is None:
            return [bytes_step, AuditStep("signature", UNSIGNED, f"the run has no {SIGNATURE_FILE}")]
        if verifier is None:
            return [bytes_step, not_checked("signature", NO_KEY)]
        problems = signature_problems(folder, signature, verifier)
    return [bytes_step, checked("signature", problems, "by the configured key, over every file")]


def _statement_step(registered: ModelVersion, files: RunFiles, verifier: Verifier | None) -> AuditStep:
    raw = files.get(STATEMENT_FILE)
    if raw is None and STATEMENT_TAG not in registered.tags and verifier is None:
        return AuditStep("statement", UNSIGNED, "the version is from before there were statements")
    problems = statement_problems(registered, raw, verifier)
    if raw is None or problems or verifier is not None:
        return checked("statement", problems, "signed, and says what the registry says")
    signed = read_envelope(raw)[1]
    if signed:
        return not_checked("statement", f"it says what the registry says, but {NO_KEY}")
    return AuditStep("statement", UNSIGNED, "it says what the registry says")


def _sample_step(registered: ModelVersion, files: RunFiles) -> AuditStep:
    """Whether the rows and answers are those that the verdict was made with."""
    sample, problems = read_document(Sample, SAMPLE_FILE, files)
    verdict, others = read_document(Verdict, VERDICT_FILE, files)
    if sample is None or verdict is None:
        return checked("sample", [*problems, *others], "")
    judged = verdict.served.sample_digest if verdict.served else sample.digest()
    if sample.digest() != judged:
        problems.append(f"{SAMPLE_FILE} has digest {sample.digest()}, the verdict names {judged}")
    if sample.model_digest != registered.digest:
        problems.append(f"{SAMPLE_FILE} is of the model {sample.model_digest}, registered is {registered.digest}")
    return checked("sample", problems, "the one of the verdict")


def _card_step(registered: ModelVersion, files: RunFiles) -> tuple[DataCard | None, AuditStep]:
    card, problems = read_document(DataCard, DATA_CARD_FILE, files)
    fingerprint = registered.facts["data_fingerprint"] or "none"
    if card and card.fingerprint != fingerprint:
        problems.append(f"its fingerprint is {card.fingerprint}, the registry has {fingerprint}")
    return card, checked("data card", problems, f"fingerprint {card.fingerprint}" if card else "")
