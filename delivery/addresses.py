"""Addresses in messages and requests: without credentials, on this machine or not, why one was not reached."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit


def without_credentials(tracking_uri: str) -> str:
    """The tracking URI without user name and password, for messages."""
    return re.sub(r"(?<=://)[^/@]+@", "", tracking_uri)


def redact(text: str) -> str:
    """The text without user names, passwords and tokens in URLs."""
    return re.sub(r"(?<=://)[^/@\s'\"]+@", "", text)


def signed_with(authorization: str) -> Callable[[Any], Any]:
    """What requests calls with each request. An own one, for requests would else look into ~/.netrc."""

    def sign(request: Any) -> Any:
        if authorization:
            request.headers["Authorization"] = authorization
        return request

    return sign


def is_loopback(address: str) -> bool:
    """Whether a host with or without port is this machine."""
    host = urlsplit(f"//{address}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reason(error: Exception) -> str:
    """The innermost reason of a requests error, without object addresses."""
    inner: Any = error
    while isinstance(getattr(inner, "reason", None) or (inner.args and inner.args[0]), Exception):
        inner = getattr(inner, "reason", None) or inner.args[0]
    return str(inner).rpartition(">: ")[2] or type(error).__name__
