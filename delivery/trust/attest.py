"""The statement and the signature of a model version, among the artifacts of its run; found before they are made."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.documents.data_card import DATA_CARD_FILE
from delivery.documents.sample import SAMPLE_FILE
from delivery.effects import effect
from delivery.registry.judged import VERDICT_FILE
from delivery.registry.run_files import RunFiles
from delivery.registry.runs import Candidate
from delivery.registry.versions import DIGEST_TAG, RUN_TAG, facts_of
from delivery.trust.keys import SIGNING_KEY, Signer, configured_signer, verifier_of
from delivery.trust.signing import SIGNATURE_FILE, BrokenSignature, check_folder, sign_folder
from delivery.trust.statement import (
    STATEMENT_FILE,
    STATEMENT_TAG,
    BrokenStatement,
    Facts,
    check_signature,
    payload_digest,
    read_envelope,
    write_envelope,
)
from training.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def ensure_statement(
    client: "MlflowClient", run_id: str, name: str, tags: dict[str, str], candidate: Candidate
) -> dict[str, str]:
    """Store the statement, and where a signing key is configured the signature of the model folder, with the run.

    Returns the tag that the version gets for it. Raises InputError for a wrong signing configuration.
    """
    evidence = {
        DATA_CARD_FILE: candidate.data / DATA_CARD_FILE,
        SAMPLE_FILE: candidate.sample,
        VERDICT_FILE: candidate.verdict,
    }
    digests = {file: payload_digest(path.read_bytes()) for file, path in sorted(evidence.items())}
    payload, signer = facts_of_tags(name, tags, digests).payload(), configured_signer()
    files = RunFiles(client, run_id)
    if not _is_stated(files, payload, signer):
        for file, path in evidence.items():  # those of another attempt may have other bytes
            files.put(file, path.read_bytes())
        _write_statement(files, payload, signer)
    if signer is not None:
        _ensure_signature(files, candidate.model, signer)
    return {STATEMENT_TAG: payload_digest(payload)}


def facts_of_tags(name: str, tags: dict[str, str], evidence: dict[str, str]) -> Facts:
    """What a version's tags say, as a statement binds it."""
    digest, run = tags.get(DIGEST_TAG, ""), tags.get(RUN_TAG, "")
    return Facts(registered_model=name, model_digest=digest, run=run, evidence=evidence, **facts_of(tags))


def sign_version(files: RunFiles, payload: bytes, folder: Path) -> bool:
    """Sign a version that was registered without the configured key's signature; whether anything was written.

    files: of its run. payload: of its statement. folder: its files. The caller has held both against the version.
    Raises InputError without a signing key.
    """
    signer = configured_signer()
    if signer is None:
        raise InputError(f"there is nothing to sign with; set {SIGNING_KEY}")
    stated = _is_stated(files, payload, signer)
    if not stated:
        _write_statement(files, payload, signer)
    return _ensure_signature(files, folder, signer) or not stated


def _ensure_signature(files: RunFiles, folder: Path, signer: Signer) -> bool:
    """Store the folder's signature unless a valid one is there; whether it was written."""
    stored = files.get(SIGNATURE_FILE)
    if stored is not None and _holds(lambda: check_folder(folder, stored, verifier_of(signer))):
        return False
    files.put(SIGNATURE_FILE, sign_folder(folder, signer))
    effect("signature written")
    return True


def _is_stated(files: RunFiles, payload: bytes, signer: Signer | None) -> bool:
    """Whether the stored envelope says the same, signed by the signer if there is one."""
    stored = files.get(STATEMENT_FILE)

    def check() -> None:
        if stored is None or read_envelope(stored)[0] != payload:
            raise BrokenStatement("none, or another statement")
        if signer is not None:
            check_signature(stored, verifier_of(signer))

    return _holds(check)


def _write_statement(files: RunFiles, payload: bytes, signer: Signer | None) -> None:
    files.put(STATEMENT_FILE, write_envelope(payload, signer))
    effect("statement written")


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except (BrokenStatement, BrokenSignature):
        return False
    return True
