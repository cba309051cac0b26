"""Who may send an event: Google's identity tokens, and bodies signed with a shared secret."""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.events.read import Refused

if TYPE_CHECKING:
    from jwt import PyJWKClient

GOOGLE_CERTS = "https://www.googleapis.com/oauth2/v3/certs"
"""Google's public keys as a JWK set: https://accounts.google.com/.well-known/openid-configuration, `jwks_uri`."""
ISSUERS = ["https://accounts.google.com", "accounts.google.com"]
LATE_S = 300
"""How far the time of a signed request may be from ours."""


@dataclass(frozen=True)
class Access:
    """What senders are checked against; where a part is empty, its senders are refused."""

    audience: str = ""
    senders: tuple[str, ...] = ()
    mlflow_secret: str = field(default="", repr=False)
    drift_secret: str = field(default="", repr=False)
    certs_url: str = GOOGLE_CERTS


class Identity:
    """Checks identity tokens of Google; keeps its public keys for five minutes."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._keys: PyJWKClient | None = None

    def check(self, headers: Mapping[str, str]) -> str:
        """The service account that sent the request.

        Raises Refused: 401 without a valid token, 403 for one of somebody else, 503 if Google's keys can't be read.
        """
        if not (self._access.audience and self._access.senders):
            raise Refused(403, "no sender is allowed: set events.audience and events.senders")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, "an identity token is missing: Authorization: Bearer TOKEN")
        claims = self._claims(token.strip())
        email = claims.get("email")
        if claims.get("email_verified") is not True or email not in self._access.senders:
            raise Refused(403, "the token's service account is not one of events.senders")
        return str(email)

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt

        if self._keys is None:
            self._keys = jwt.PyJWKClient(self._access.certs_url, timeout=10)
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            return jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._access.audience,
                issuer=ISSUERS,
                leeway=10,
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Refused(503, "the public keys of identity tokens can't be read now") from error
        except jwt.PyJWTError as error:
            raise Refused(401, f"the identity token is not valid: {type(error).__name__}") from error


def check_mlflow(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    """MLflow's signature, over ``<delivery id>.<timestamp>.<body>``. Raises Refused (401, 403)."""
    delivery = headers.get("x-mlflow-delivery-id", "")
    _check(secret, "OSTINATO_MLFLOW_WEBHOOK_SECRET", headers, "x-mlflow", f"{delivery}.", body)


def check_drift(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    """The drift watch's signature, over ``<timestamp>.<body>``. Raises Refused (401, 403)."""
    _check(secret, "OSTINATO_EVENTS_SECRET", headers, "x-ostinato", "", body)


def _check(secret: str, variable: str, headers: Mapping[str, str], family: str, prefix: str, body: bytes) -> None:
    if not secret:
        raise Refused(403, f"no sender is allowed: set {variable} or {variable}_FILE")
    stamp = headers.get(f"{family}-timestamp", "")
    content = f"{prefix}{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()
    given = headers.get(f"{family}-signature", "")
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Refused(401, f"{family}-signature is missing or wrong")
    if not re.fullmatch(r"\d{1,12}", stamp, re.ASCII) or abs(time.time() - int(stamp)) > LATE_S:
        raise Refused(401, f"{family}-timestamp is more than {LATE_S} s from now")
