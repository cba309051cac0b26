"""What a release must be, before it is committed: the model that was stated and signed, by whom it must be signed."""

import tempfile
from pathlib import Path

from delivery.documents.verdict import Verdict
from delivery.models.folder import model_digest
from delivery.registry.judged import VERDICT_FILE
from delivery.registry.mlflow import mlflow_client
from delivery.registry.run_files import D, RunFiles
from delivery.registry.versions import VERDICT_DIGEST_TAG, VERDICT_TAG, ModelVersion
from delivery.stores.fetch import download_folder
from delivery.trust.attest import facts_of_tags
from delivery.trust.keys import Verifier
from delivery.trust.signing import SIGNATURE_FILE, BrokenSignature, check_folder
from delivery.trust.statement import (
    STATEMENT_FILE,
    STATEMENT_TAG,
    BrokenStatement,
    Facts,
    check_signature,
    payload_digest,
    read_envelope,
    read_facts,
)
from training.errors import GateRefused, InputError, OstinatoError

UNSIGNED = "not signed"


def check_release(tracking_uri: str, version: ModelVersion, storage_uri: str, verifier: Verifier) -> None:
    """Raises GateRefused that lists every difference unless what is at ``storage_uri`` was signed by the verifier, and
    the statement, the registry's tags and the verdict say the same of it."""
    files = RunFiles(mlflow_client(tracking_uri), version.run_id)
    problems = verdict_problems(version, files) + stored_problems(version, storage_uri, files, verifier)
    if problems:
        raise GateRefused(
            f"version {version.version} of {version.name} may not go live, and nothing was committed:"
            + "".join(f"\n  {problem}" for problem in problems)
            + "\n`ostinato sign` signs what is only not signed; `ostinato audit` shows the whole chain"
        )


def stored_problems(version: ModelVersion, storage_uri: str, files: RunFiles, verifier: Verifier | None) -> list[str]:
    """What is wrong with a version's stored files and, where a verifier is given, with who signed them."""
    with tempfile.TemporaryDirectory(prefix="ostinato-trust-") as scratch:
        folder = Path(scratch)
        problems = statement_problems(version, files.get(STATEMENT_FILE), verifier) if verifier else []
        problems += fetch_problems(storage_uri, folder, version.digest, files.client.tracking_uri)
        problems += signature_problems(folder, files.get(SIGNATURE_FILE), verifier) if verifier else []
    return problems


def fetch_problems(storage_uri: str, folder: Path, digest: str, tracking_uri: str) -> list[str]:
    """Fill the folder with the model's files; what is wrong with them."""
    try:
        download_folder(storage_uri, folder, tracking_uri)
    except FileNotFoundError:
        return [f"the model folder {storage_uri} is gone"]
    except (ImportError, OSError, ValueError, OstinatoError) as error:
        return [f"the model folder {storage_uri} can't be read: {error}"]
    actual = model_digest(folder)
    return [] if actual == digest else [f"the model folder {storage_uri} has digest {actual}, not {digest}"]


def signature_problems(folder: Path, signature: bytes | None, verifier: Verifier) -> list[str]:
    if signature is None:
        return [f"the model folder is {UNSIGNED}: the run has no {SIGNATURE_FILE}"]
    try:
        check_folder(folder, signature, verifier)
    except BrokenSignature as error:
        return [str(error)]
    return []


def statement_problems(version: ModelVersion, raw: bytes | None, verifier: Verifier | None) -> list[str]:
    """What is wrong with a version's statement; its signature counts only where a verifier is given."""
    if raw is None:
        return [f"the run has no {STATEMENT_FILE}"]
    try:
        payload, signed = read_envelope(raw)
        facts = read_facts(payload)
    except BrokenStatement as error:
        return [str(error)]
    problems = fact_problems(version, facts)
    registered = version.tags.get(STATEMENT_TAG, "none")
    if payload_digest(payload) != registered:
        problems.append(f"{STATEMENT_FILE} has digest {payload_digest(payload)}, registered is {registered}")
    if verifier is None:
        return problems
    if not signed:
        return [*problems, f"{STATEMENT_FILE} is {UNSIGNED}"]
    try:
        check_signature(raw, verifier)
    except BrokenStatement as error:
        problems.append(str(error))
    return problems


def fact_problems(version: ModelVersion, facts: Facts) -> list[str]:
    """Each fact in which the registry's tags differ from the statement."""
    registered = facts_of_tags(version.name, version.tags, facts.evidence)
    return [
        f"the statement's {name.replace('_', ' ')} is {stated or 'none'}, the registry has {known or 'none'}"
        for name in Facts.__dataclass_fields__
        if (stated := getattr(facts, name)) != (known := getattr(registered, name))
    ]


def verdict_problems(version: ModelVersion, files: RunFiles) -> list[str]:
    """What is wrong with a version's verdict: its bytes, its digest, its decision, or the model that it is on."""
    verdict, problems = read_document(Verdict, VERDICT_FILE, files)
    if verdict is None:
        return problems
    judged = verdict.contender("candidate")
    compared = {
        "digest": (verdict.digest(), version.tags.get(VERDICT_DIGEST_TAG)),
        "decision": (verdict.decision, version.tags.get(VERDICT_TAG)),
        "model": (judged.digest if judged else None, version.digest),
        "data fingerprint": (verdict.data_fingerprint, version.facts["data_fingerprint"]),
        "spec digest": (verdict.spec_digest, version.facts["spec_digest"]),
    }
    problems += [
        f"the {what} of {VERDICT_FILE} is {actual}, the registry has {registered or 'none'}"
        for what, (actual, registered) in compared.items()
        if actual != registered
    ]
    if verdict.decision != "pass":
        problems.append(f"{VERDICT_FILE} says {verdict.decision}")
    return problems


def read_document(kind: type[D], name: str, files: RunFiles) -> tuple[D | None, list[str]]:
    """A file of the run, None for one that is missing or broken; and what is wrong with it, also by the statement,
    which binds its bytes."""
    raw = files.get(name)
    stated, actual = _evidence(files).get(name), payload_digest(raw or b"")
    differs = raw is not None and stated is not None and stated != actual
    problems = [f"{name} has digest {actual}, stated is {stated}"] if differs else []
    try:
        return files.document(kind, name), problems
    except InputError as error:
        return None, [*problems, str(error)]


def _evidence(files: RunFiles) -> dict[str, str]:
    """What the statement says of the run's files, whatever else may be wrong with it; none without one."""
    try:
        return read_facts(read_envelope(files.get(STATEMENT_FILE) or b"")[0]).evidence
    except BrokenStatement:
        return {}
