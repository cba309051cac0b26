"""Which keys sign and verify, by the environment alone. A secret leaves this module to the signing library only."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from training.errors import InputError

if TYPE_CHECKING:
    from securesystemslib.signer._key import Key
    from securesystemslib.signer._signer import Signer as StatementSigner

SIGNING_KEY = "OSTINATO_SIGNING_KEY_FILE"
PASSWORD = "OSTINATO_SIGNING_KEY_PASSWORD"
PASSWORD_FILE = "OSTINATO_SIGNING_KEY_PASSWORD_FILE"
KEYLESS = "OSTINATO_SIGNING_KEYLESS"
IDENTITY = "OSTINATO_SIGNING_IDENTITY"
ISSUER = "OSTINATO_SIGNING_ISSUER"
VERIFY_KEY = "OSTINATO_VERIFY_KEY_FILE"


@dataclass(frozen=True)
class PrivateKey:
    """An ECDSA P-256 key in a PEM file."""

    path: Path
    password: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PublicKey:
    """What a PrivateKey's signatures are held against; PEM."""

    pem: bytes


@dataclass(frozen=True)
class SigstoreIdentity:
    """Who signs without a key: whom sigstore's certificate must name, and who vouches for the name."""

    identity: str
    issuer: str


Signer = PrivateKey | SigstoreIdentity
Verifier = PublicKey | SigstoreIdentity


def configured_signer() -> Signer | None:
    """What the environment says to sign with, None for nothing. Raises InputError for half a configuration."""
    path, keyless = os.environ.get(SIGNING_KEY, ""), os.environ.get(KEYLESS, "")
    if path and keyless:
        raise InputError(f"{SIGNING_KEY} and {KEYLESS} are both set; unset one of them")
    if keyless not in ("", "0", "1"):
        raise InputError(f"{KEYLESS} is {keyless!r}; give 1, or unset it")
    if keyless == "1":
        identity = _identity()
        if identity is None:
            raise InputError(f"{KEYLESS} is 1, but {IDENTITY} and {ISSUER} are not set; they say who is to have signed")
        return identity
    if not path:
        return None
    key = PrivateKey(Path(path), _password())
    public_key_of(key)
    return key


def configured_verifier() -> Verifier | None:
    """What signatures must be of, None where nobody has said it. Raises InputError for a key that can't be used."""
    path = os.environ.get(VERIFY_KEY, "")
    if not path:
        return _identity()
    key = PublicKey(_read(VERIFY_KEY, Path(path)))
    _check_curve(VERIFY_KEY, path, _public(key))
    return key


def verifier_of(signer: Signer) -> Verifier:
    """What this signer's own signatures are held against."""
    return public_key_of(signer) if isinstance(signer, PrivateKey) else signer


def public_key_of(key: PrivateKey) -> PublicKey:
    """The public half. Raises InputError, without the password, for a file that holds no such key or is locked."""
    serialization = _serialization()
    loaded = _load(key)
    _check_curve(SIGNING_KEY, str(key.path), loaded)
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    return PublicKey(loaded.public_key().public_bytes(serialization.Encoding.PEM, shape))


def statement_signer(signer: Signer) -> "StatementSigner":
    """What securesystemslib signs a statement with. Raises InputError where the identity has no token here."""
    if isinstance(signer, PrivateKey):
        from securesystemslib.signer import CryptoSigner  # pyright: ignore[reportPrivateImportUsage]

        return CryptoSigner(_load(signer))
    from securesystemslib.signer import SigstoreSigner  # pyright: ignore[reportPrivateImportUsage]

    uri, key = SigstoreSigner.import_(signer.identity, signer.issuer)
    try:
        return SigstoreSigner.from_priv_key_uri(uri, key)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{KEYLESS} is 1, but there is no identity token in the environment: {error}") from error


def statement_key(verifier: Verifier) -> "Key":
    """What securesystemslib holds a statement's signature against."""
    signing_package()
    from securesystemslib.signer import SigstoreSigner, SSlibKey  # pyright: ignore[reportPrivateImportUsage]

    if isinstance(verifier, PublicKey):
        return SSlibKey.from_crypto(_public(verifier))
    return SigstoreSigner.import_(verifier.identity, verifier.issuer)[1]


def signing_package() -> ModuleType:
    """OpenSSF's library. Raises InputError that names the extra where it is not installed."""
    try:
        import model_signing
        import securesystemslib.signer  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"signing and verifying need the package {error.name}; install ostinato[signing], or unset "
            f"{SIGNING_KEY}, {KEYLESS}, {VERIFY_KEY}, {IDENTITY} and {ISSUER}"
        ) from error
    return model_signing


def _identity() -> SigstoreIdentity | None:
    who, issuer = os.environ.get(IDENTITY, ""), os.environ.get(ISSUER, "")
    if bool(who) != bool(issuer):
        given, missing = (IDENTITY, ISSUER) if who else (ISSUER, IDENTITY)
        raise InputError(f"{given} is set without {missing}; a name counts only with who vouches for it")
    return SigstoreIdentity(who, issuer) if who else None


def _password() -> bytes | None:
    given, file = os.environ.get(PASSWORD), os.environ.get(PASSWORD_FILE)
    if given and file:
        raise InputError(f"{PASSWORD} and {PASSWORD_FILE} are both set; unset one of them")
    if file:
        return _read(PASSWORD_FILE, Path(file)).strip() or None
    return given.encode() if given else None


def _read(variable: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{variable} is {str(path)!r}, which can't be read: {error.strerror}") from error


def _serialization() -> ModuleType:
    signing_package()
    from cryptography.hazmat.primitives import serialization

    return serialization


def _load(key: PrivateKey):
    pem, serialization = _read(SIGNING_KEY, key.path), _serialization()
    try:
        return serialization.load_pem_private_key(pem, key.password)
    except (ValueError, TypeError) as error:
        locked = "locked by a password" if key.password is None else "not opened by the given password"
        raise InputError(
            f"{SIGNING_KEY} is {str(key.path)!r}, which is no private key in PEM, or is {locked}; make one with "
            f"`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`; {PASSWORD_FILE} is for a locked one"
        ) from error


def _public(key: PublicKey):
    serialization = _serialization()
    try:
        return serialization.load_pem_public_key(key.pem)
    except ValueError as error:
        raise InputError(
            f"{VERIFY_KEY} names a file that is no public key in PEM; write one with `openssl pkey -pubout`"
        ) from error


def _check_curve(variable: str, path: str, key: object) -> None:
    curve = getattr(getattr(key, "curve", None), "name", type(key).__name__)
    if curve != "secp256r1":
        raise InputError(f"{variable} is {path!r}, a key of kind {curve}; give an ECDSA key on the curve P-256")
