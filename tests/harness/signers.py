"""Keys for tests."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from delivery.trust.keys import SIGNING_KEY, VERIFY_KEY


def key_pair(folder: Path, name: str = "release", password: bytes | None = None) -> dict[str, Path]:
    """A new P-256 key in two PEM files, by the variable that names each."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))
    shape = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(pem, shape))
    return {SIGNING_KEY: private, VERIFY_KEY: public}
