"""The request for a training as a signed HTTP request to the entry point of `ostinato events serve`."""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import urlsplit

from components.drift.steps import Watched
from delivery.effects import effect
from delivery.retry import RetryPolicy, is_transient, retrying
from delivery.secret import secret
from training.errors import InputError, OstinatoError

SECRET = "OSTINATO_EVENTS_SECRET"
SIGNATURE, TIMESTAMP = "X-Ostinato-Signature", "X-Ostinato-Timestamp"
TIMEOUT_S = 60
RETRIES = RetryPolicy(attempts=4, pause_s=4.0, total_s=300.0)


def post_event(url: str, watched: Watched, policy: RetryPolicy = RETRIES) -> str:
    """Ask for a training, and say what was answered.

    The body names window and version, so that the other side knows a request that it has seen. A lost answer, or one of
    429 and 5xx, is tried again as the policy says.
    Raises InputError for an address or a secret that is missing or refused, OstinatoError if nobody answers.
    """
    import requests

    key = events_secret()
    shown = f"{urlsplit(url).scheme}://{urlsplit(url).hostname}"
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"events_url is of scheme {urlsplit(url).scheme!r}; write an https:// address")
    body = event_body(watched)

    def post() -> requests.Response:
        return requests.post(url, body, headers=signed(key, body, int(time.time())), timeout=TIMEOUT_S)

    try:
        response = retrying(policy, is_transient)(post)
    except requests.RequestException as error:
        status, reason = 0, type(error).__name__
    else:
        status, reason = response.status_code, f"HTTP {response.status_code}"
        if status < 300:
            effect("training asked for")
            return f"asked {shown}: {status}"
        if status != 429 and status < 500:
            raise InputError(
                f"events_url {shown} refused the request for a training: {reason} {response.text[:200]}; "
                f"check the address, and that {SECRET} is the same on both sides"
            )
    raise OstinatoError(f"events_url {shown} did not take the request for a training: {reason}; run the watch again")


def event_body(watched: Watched) -> bytes:
    """Equal content gives equal bytes."""
    event = {"kind": "drift", "model": watched.model, "window": watched.window, "version": watched.version}
    return json.dumps(event, sort_keys=True, separators=(",", ":")).encode()


def signed(secret: bytes, body: bytes, timestamp: int) -> dict[str, str]:
    """Headers with `v1,` and the base64 of HMAC-SHA256 over ``<timestamp>.<body>``; timestamp: Unix seconds."""
    mac = hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        TIMESTAMP: str(timestamp),
        SIGNATURE: f"v1,{base64.b64encode(mac).decode()}",
    }


def events_secret() -> bytes:
    """Raises InputError if there is none, two, or one that can't be read."""
    token = secret(SECRET)
    if not token:
        raise InputError(f"neither {SECRET} nor {SECRET}_FILE is set, or there is nothing in it; set one of them")
    return token.encode()
