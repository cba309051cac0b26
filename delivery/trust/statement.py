"""The release statement: what a model folder was made from, as an in-toto Statement in a DSSE envelope.

https://in-toto.io/Statement/v1, https://github.com/secure-systems-lab/dsse. The payload's bytes come from the facts
alone, so the same release gives the same payload; the signatures, if any, are beside it in the envelope.
"""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from delivery.trust.keys import Signer, Verifier, signing_package, statement_key, statement_signer
from training.errors import OstinatoError

STATEMENT_FILE = "release.intoto.json"
STATEMENT_TAG = "ostinato.statement"
"""Of a model version: ``sha256:`` of its statement's payload."""
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://ostinato.dev/release/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_SHA256 = "sha256:"


class BrokenStatement(OstinatoError):
    """The file is no release statement, or not as it was written or signed."""


@dataclass(frozen=True)
class Facts:
    """What a statement binds to the model; digests are ``sha256:`` and hex, "" for what is not known."""

    registered_model: str
    model_digest: str
    data_fingerprint: str
    code_version: str
    spec_digest: str
    verdict_digest: str
    run: str
    evidence: dict[str, str] = field(default_factory=dict)
    """Digest of the bytes of each file of the version's run, by name."""

    def payload(self) -> bytes:
        """The in-toto statement as canonical JSON."""
        predicate: dict[str, Any] = {key: value for key, value in asdict(self).items() if key != "model_digest"}
        statement = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.registered_model, "digest": {"sha256": self.model_digest.removeprefix(_SHA256)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
        return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def payload_digest(payload: bytes) -> str:
    return _SHA256 + hashlib.sha256(payload).hexdigest()


def write_envelope(payload: bytes, signer: Signer | None) -> bytes:
    """The envelope's file: with the signer's signature, or with none."""
    if signer is None:
        return _to_bytes({"payload": _encode(payload), "payloadType": PAYLOAD_TYPE, "signatures": []})
    signing_package()
    from securesystemslib.dsse import Envelope
    from sigstore.errors import Error as SigstoreError

    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    try:
        envelope.sign(statement_signer(signer))
    except SigstoreError as error:
        raise OstinatoError(f"sigstore did not sign {STATEMENT_FILE}: {error}") from error
    return _to_bytes(envelope.to_dict())


def read_envelope(raw: bytes) -> tuple[bytes, bool]:
    """The payload, and whether it has signatures, which are not verified. Raises BrokenStatement for other bytes than
    :func:`write_envelope` writes."""
    try:
        envelope = json.loads(raw)
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [{**entry, "sig": _encode(base64.b64decode(entry["sig"]))} for entry in envelope["signatures"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenStatement(f"{STATEMENT_FILE} is no DSSE envelope: {error!r}") from error
    again = {"payload": _encode(payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
    if _to_bytes(again) != raw:
        raise BrokenStatement(f"{STATEMENT_FILE} is not as it was written: its bytes are no envelope in canonical form")
    return payload, bool(signatures)


def read_facts(payload: bytes) -> Facts:
    """What a payload binds. Raises BrokenStatement for another kind of statement."""
    try:
        statement = json.loads(payload)
        (subject,) = statement["subject"]
        facts = Facts(model_digest=_SHA256 + subject["digest"]["sha256"], **statement["predicate"])
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenStatement(f"{STATEMENT_FILE} holds no release statement: {error!r}") from error
    if facts.payload() != payload:
        raise BrokenStatement(f"{STATEMENT_FILE} holds another statement than {PREDICATE_TYPE} in canonical form")
    return facts


def check_signature(raw: bytes, verifier: Verifier) -> None:
    """Raises BrokenStatement unless the envelope's signature is the verifier's."""
    read_envelope(raw)
    signing_package()
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError, VerificationError

    key = statement_key(verifier)
    try:
        Envelope.from_dict(json.loads(raw)).verify([key], threshold=1)
    except (VerificationError, FormatError, ValueError, KeyError) as error:
        raise BrokenStatement(f"{STATEMENT_FILE} is not signed by the configured key: {error}") from error


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _to_bytes(envelope: dict[str, Any]) -> bytes:
    return json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode() + b"\n"
