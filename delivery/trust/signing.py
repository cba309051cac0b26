"""The signature of a model folder, by OpenSSF's model signing: a file beside the folder, since one in it would change
the folder's digest."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.trust.keys import KEYLESS, PrivateKey, PublicKey, Signer, Verifier, signing_package
from training.errors import OstinatoError

if TYPE_CHECKING:
    from model_signing.hashing import Config as Hashing
    from model_signing.signing import Config as Signing

SIGNATURE_FILE = "model.sig"


class BrokenSignature(OstinatoError):
    """The file is no signature of these files by that signer."""


def sign_folder(folder: Path, signer: Signer) -> bytes:
    """The signature's file. Raises OstinatoError if sigstore can't be reached, or takes the identity for another."""
    signing_package()
    from model_signing.signing import Config

    config = Config().set_hashing_config(_every_file())
    with tempfile.TemporaryDirectory(prefix="ostinato-signature-") as scratch:
        target = Path(scratch, SIGNATURE_FILE)
        if isinstance(signer, PrivateKey):
            # It hands the password on to cryptography, which wants bytes, whatever its own annotation says.
            password: str | None = signer.password  # pyright: ignore[reportAssignmentType]
            config.use_elliptic_key_signer(private_key=signer.path, password=password).sign(folder, target)
        else:
            _sign_keyless(config, folder, target)
        return target.read_bytes()


def _sign_keyless(config: "Signing", folder: Path, target: Path) -> None:
    import requests
    from sigstore.errors import Error as SigstoreError

    try:
        config.use_sigstore_signer(use_ambient_credentials=True).sign(folder, target)
    except (SigstoreError, requests.RequestException, ValueError) as error:
        raise OstinatoError(f"{KEYLESS}: sigstore did not sign the model folder: {error}") from error


def check_folder(folder: Path, signature: bytes, verifier: Verifier) -> None:
    """Raises BrokenSignature, with the files that differ, unless the verifier signed exactly the folder's files;
    OstinatoError if sigstore can't be asked."""
    signing_package()
    from cryptography.exceptions import InvalidSignature
    from model_signing.verifying import Config
    from sigstore.errors import Error as SigstoreError
    from sigstore.errors import VerificationError

    with tempfile.TemporaryDirectory(prefix="ostinato-signature-") as scratch:
        file, key = Path(scratch, SIGNATURE_FILE), Path(scratch, "key.pem")
        file.write_bytes(signature)
        config = Config().set_hashing_config(_every_file())
        try:
            if isinstance(verifier, PublicKey):
                _check_canonical(signature)
                key.write_bytes(verifier.pem)
                config = config.use_elliptic_key_verifier(public_key=key)
            else:
                config = config.use_sigstore_verifier(identity=verifier.identity, oidc_issuer=verifier.issuer)
            config.verify(folder, file)
        except VerificationError as error:
            raise BrokenSignature(f"sigstore does not confirm {SIGNATURE_FILE}: {error}") from error
        except SigstoreError as error:
            raise OstinatoError(f"sigstore can't be asked about {SIGNATURE_FILE}: {error}") from error
        except InvalidSignature as error:
            raise BrokenSignature(f"{SIGNATURE_FILE} is not signed by the configured key") from error
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BrokenSignature(f"{SIGNATURE_FILE} does not hold: {_short(error)}") from error


def _every_file() -> "Hashing":
    """Unless told, the library leaves out files such as .gitattributes, which are part of the folder's digest."""
    from model_signing.hashing import Config

    return Config().set_ignored_paths(paths=[], ignore_git_paths=False).set_allow_symlinks(True)


def _check_canonical(signature: bytes) -> None:
    """Raises ValueError for bytes that mean what was signed, but are not what was written."""
    from sigstore_models.bundle.v1 import Bundle

    if Bundle.from_json(signature).to_json().encode() != signature:
        raise ValueError("its bytes are no bundle in canonical form")


def _short(error: Exception) -> str:
    """What the library says, as the files' names without their digests' bytes where it is about files."""
    message = " ".join(str(error).split())
    changed = re.findall(r"Hash mismatch for \W*([^'\"]+?)\W*: Expected", message)
    others = re.findall(r"(Extra|Missing) files [^:]*: ([^'\"\]]+)", message)
    named = [f"changed: {', '.join(changed)}"] if changed else []
    named += [f"{kind.lower()}: {names}" for kind, names in others]
    return "; ".join(named)[:400] or message[:400]
