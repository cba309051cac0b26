"""The statement and the signature of a model version, among the artifacts of its run; found before they are made."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.documents.data_card import DATA_CARD_FILE
from delivery.documents.sample import SAMPLE_FILE
from delivery.effects import effect
from delivery.registry.judged import VERDICT_FILE
from delivery.registry.runs import Candidate, log_file
from delivery.registry.versions import (
    CODE_TAG,
    DIGEST_TAG,
    FINGERPRINT_TAG,
    RUN_TAG,
    SPEC_TAG,
    VERDICT_DIGEST_TAG,
    ModelVersion,
)
from delivery.trust.keys import SIGNING_KEY, PrivateKey, SigstoreIdentity, configured_signer, verifier_of
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
    client: "MlflowClient", run_id: str, name: str, tags: dict[str, str], files: Candidate
) -> dict[str, str]:
    """Store the statement, and where a signing key is configured the signature of the model folder, with the run.

    Returns the tag that the version gets for it. Raises InputError for a wrong signing configuration.
    """
    evidence = {DATA_CARD_FILE: files.data / DATA_CARD_FILE, SAMPLE_FILE: files.sample, VERDICT_FILE: files.verdict}
    digests = {file: payload_digest(path.read_bytes()) for file, path in sorted(evidence.items())}
    payload, signer = facts_of_tags(name, tags, digests).payload(), configured_signer()
    if not _is_stated(client, run_id, payload, signer):
        for file, path in evidence.items():  # those of another attempt may have other bytes
            log_file(client, run_id, path, file)
        _write_statement(client, run_id, payload, signer)
    if signer is not None:
        _ensure_signature(client, run_id, files.model, signer)
    return {STATEMENT_TAG: payload_digest(payload)}


def facts_of_tags(name: str, tags: dict[str, str], evidence: dict[str, str]) -> Facts:
    """What a version's tags say, as a statement binds it."""
    return Facts(
        registered_model=name,
        model_digest=tags.get(DIGEST_TAG, ""),
        data_fingerprint=tags.get(FINGERPRINT_TAG, ""),
        code_version=tags.get(CODE_TAG, ""),
        spec_digest=tags.get(SPEC_TAG, ""),
        verdict_digest=tags.get(VERDICT_DIGEST_TAG, ""),
        run=tags.get(RUN_TAG, ""),
        evidence=evidence,
    )


def stored_file(client: "MlflowClient", run_id: str, name: str) -> bytes | None:
    """Bytes of an artifact of a run, None if it is not there."""
    if name not in {file.path for file in client.list_artifacts(run_id)}:
        return None
    with tempfile.TemporaryDirectory(prefix="ostinato-evidence-") as folder:
        return Path(client.download_artifacts(run_id, name, folder)).read_bytes()


def sign_version(client: "MlflowClient", version: ModelVersion, payload: bytes, folder: Path) -> bool:
    """Sign a version that was registered without the configured key's signature; whether anything was written.

    payload: of its statement. folder: its files. The caller has held both against the version. Raises InputError
    without a signing key.
    """
    signer = configured_signer()
    if signer is None:
        raise InputError(f"there is nothing to sign with; set {SIGNING_KEY}")
    stated = _is_stated(client, version.run_id, payload, signer)
    if not stated:
        _write_statement(client, version.run_id, payload, signer)
    return _ensure_signature(client, version.run_id, folder, signer) or not stated


def _ensure_signature(client: "MlflowClient", run_id: str, folder: Path, signer: PrivateKey | SigstoreIdentity) -> bool:
    """Store the folder's signature unless a valid one is there; whether it was written."""
    stored = stored_file(client, run_id, SIGNATURE_FILE)
    if stored is not None and _holds(lambda: check_folder(folder, stored, verifier_of(signer))):
        return False
    _log_bytes(client, run_id, SIGNATURE_FILE, sign_folder(folder, signer))
    effect("signature written")
    return True


def _is_stated(
    client: "MlflowClient", run_id: str, payload: bytes, signer: PrivateKey | SigstoreIdentity | None
) -> bool:
    """Whether the stored envelope says the same, signed by the signer if there is one."""
    stored = stored_file(client, run_id, STATEMENT_FILE)

    def check() -> None:
        if stored is None or read_envelope(stored)[0] != payload:
            raise BrokenStatement("none, or another statement")
        if signer is not None:
            check_signature(stored, verifier_of(signer))

    return _holds(check)


def _write_statement(
    client: "MlflowClient", run_id: str, payload: bytes, signer: PrivateKey | SigstoreIdentity | None
) -> None:
    _log_bytes(client, run_id, STATEMENT_FILE, write_envelope(payload, signer))
    effect("statement written")


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except (BrokenStatement, BrokenSignature):
        return False
    return True


def _log_bytes(client: "MlflowClient", run_id: str, name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="ostinato-") as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        client.log_artifact(run_id, str(path))
