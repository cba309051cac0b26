"""A certificate of our own for a server on loopback, and a service account's key for Google's library."""

import json
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from harness.loopback import LoopbackServer, Reply, Request


def certificate(folder: Path) -> Path:
    """A file with a key and the certificate that it signed for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's own authority")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(_pem(key) + made.public_bytes(serialization.Encoding.PEM))
    return file


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


class Google(LoopbackServer):
    """Google's token endpoint: it hands out identity tokens for signed requests. audiences: that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.audiences: list[str] = []
        self.tokens: list[str] = []
        self.lifetime_s = 3600
        self.status = 200

    def credentials(self, folder: Path) -> Path:
        """A service account's key file, which leads here."""
        account = {
            "type": "service_account",
            "client_email": "robot@project.iam.gserviceaccount.com",
            "private_key": _pem(self.key).decode(),
            "private_key_id": "1",
            "token_uri": f"{self.url}/token",
        }
        file = folder / "google.json"
        file.write_text(json.dumps(account))
        return file

    def answer(self, request: Request) -> Reply:
        form = parse_qs(request.body.decode())
        asked = jwt.decode(
            form["assertion"][0], self.key.public_key(), ["RS256"], options={"verify_aud": False, "verify_iat": False}
        )
        self.audiences.append(asked["target_audience"])
        expires = int(time.time()) + self.lifetime_s
        claims = {"aud": asked["target_audience"], "exp": expires, "iat": 1, "n": len(self.audiences)}
        self.tokens.append(jwt.encode(claims, self.key, "RS256"))
        return Reply(self.status, {"id_token": self.tokens[-1]} if self.status == 200 else {"error": "invalid_grant"})
