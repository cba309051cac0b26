"""The statement and the signature of a model version, among the artifacts of its run; found before they are made."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from components.effects import effect
from components.evidence import DATA_CARD_FILE
from components.register.lookup import (
    CODE_TAG,
    DIGEST_TAG,
    FINGERPRINT_TAG,
    RUN_TAG,
    SPEC_TAG,
    VERDICT_DIGEST_TAG,
    ModelVersion,
)
from components.register.registry import registry_errors
from components.register.tracked_run import Candidate, log_file
from components.serving.sample import SAMPLE_FILE
from components.trust.keys import Identity, PrivateKey, configured_signer, verifier_of
from components.trust.signing import SIGNATURE_FILE, BrokenSignature, check_folder, sign_folder
from components.trust.statement import (
    STATEMENT_FILE,
    STATEMENT_TAG,
    BrokenStatement,
    Facts,
    check_signature,
    payload_digest,
    read_envelope,
    write_envelope,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

VERDICT_FILE = "verdict.json"
EVIDENCE_FILES = (DATA_CARD_FILE, SAMPLE_FILE, VERDICT_FILE)
"""Files of a version's run whose bytes its statement binds."""


def ensure_statement(
    client: "MlflowClient", run_id: str, name: str, tags: dict[str, str], files: Candidate
) -> dict[str, str]:
    """Store the statement, and where a signing key is configured the signature of the model folder, with the run.

    Returns the tag that the version gets for it. Raises InputError for a wrong signing configuration.
    """
    evidence = {DATA_CARD_FILE: files.data / DATA_CARD_FILE, SAMPLE_FILE: files.sample, VERDICT_FILE: files.verdict}
    digests = {file: payload_digest(path.read_bytes()) for file, path in sorted(evidence.items())}
    payload = facts_of_tags(name, tags, digests).payload()
    if _store(client, run_id, payload, files.model, configured_signer()):
        for file, path in evidence.items():  # another attempt's, whose bytes may be others
            log_file(client, run_id, path, file)
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


def sign_version(
    client: "MlflowClient", tracking_uri: str, version: ModelVersion, folder: Path, payload: bytes
) -> bool:
    """Sign a version that was registered without a signature. folder: its files, of which the caller has compared the
    digest. Returns whether anything was written."""
    with registry_errors(tracking_uri):
        return _store(client, version.run_id, payload, folder, configured_signer())


def _store(
    client: "MlflowClient", run_id: str, payload: bytes, folder: Path, signer: PrivateKey | Identity | None
) -> bool:
    """Whether either file had to be written."""
    stored = stored_file(client, run_id, STATEMENT_FILE)
    states = stored is not None and _states(stored, payload, signer)
    if not states:
        _log_bytes(client, run_id, STATEMENT_FILE, write_envelope(payload, signer))
        effect("statement written")
    if signer is None:
        return not states
    signature = stored_file(client, run_id, SIGNATURE_FILE)
    signs = signature is not None and _holds(lambda: check_folder(folder, signature, verifier_of(signer)))
    if not signs:
        _log_bytes(client, run_id, SIGNATURE_FILE, sign_folder(folder, signer))
        effect("signature written")
    return not (states and signs)


def _states(stored: bytes, payload: bytes, signer: PrivateKey | Identity | None) -> bool:
    """Whether the stored envelope says the same, signed by this signer if there is one."""

    def check() -> None:
        if read_envelope(stored)[0] != payload:
            raise BrokenStatement("another statement")
        if signer is not None:
            check_signature(stored, verifier_of(signer))

    return _holds(check)


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
