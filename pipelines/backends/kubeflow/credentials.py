"""Who we are to Kubeflow: a token, Google's Identity-Aware Proxy, or a session at Dex. Nothing opens a browser."""

import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from delivery.secret import secret
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from training.errors import InputError, OstinatoError

TOKEN = "OSTINATO_KUBEFLOW_TOKEN"
USER = "OSTINATO_KUBEFLOW_USER"
PASSWORD = "OSTINATO_KUBEFLOW_PASSWORD"
MOUNTED = "KF_PIPELINES_SA_TOKEN_PATH"
"""Variable by which Kubeflow's own pods tell where the token is mounted."""
DEX_S = 30
"""Seconds that each page of the login may take."""


def token_hook(settings: KubeflowSettings) -> Callable[[Any], None] | None:
    """What the client calls before each request to have a token that is not expired; None where none is sent.

    Raises InputError for settings that can't be right, OstinatoError if Google gives no token.
    """
    if settings.auth == "token":
        return _token_hook()
    if settings.auth == "iap":
        return _iap_hook(settings)
    return None


def _token_hook() -> Callable[[Any], None]:
    given = secret(TOKEN)
    if given and not os.environ.get(f"{TOKEN}_FILE"):
        if not given.isascii() or not given.isprintable() or " " in given:
            raise InputError(f"{TOKEN} holds no token: it has blanks or control characters in it")

        def fixed(configuration: Any) -> None:
            configuration.api_key["authorization"] = given

        return fixed

    from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

    # The cluster renews a mounted token, so the file is read for each request.
    mounted = ServiceAccountTokenVolumeCredentials(os.environ.get(f"{TOKEN}_FILE"))

    def read(configuration: Any) -> None:
        try:
            mounted.refresh_api_key_hook(configuration)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"kubeflow.auth is token, and there is none: set {TOKEN} or {TOKEN}_FILE, or run where Kubeflow mounts "
                f"one ({error})"
            ) from error

    return read


def _iap_hook(settings: KubeflowSettings) -> Callable[[Any], None]:
    if not settings.client_id:
        raise InputError("kubeflow.auth is iap and kubeflow.client_id is missing: the OAuth client of the proxy")
    from google.auth import exceptions
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    try:
        credentials: Any = id_token.fetch_id_token_credentials(settings.client_id)
    except exceptions.GoogleAuthError as error:
        raise InputError(
            "kubeflow.auth is iap and there are no credentials of a service account; set "
            f"GOOGLE_APPLICATION_CREDENTIALS, or run on Google Cloud ({error})"
        ) from error

    def refresh(configuration: Any) -> None:
        try:
            if not credentials.valid:
                credentials.refresh(Request())
        except exceptions.GoogleAuthError as error:
            raise OstinatoError(f"Google gave no identity token for {settings.client_id}: {error}") from error
        configuration.api_key["authorization"] = credentials.token

    return refresh


def dex_cookies(settings: KubeflowSettings) -> str:
    """Cookies of a new session, as the pages of Dex and of oauth2-proxy hand them out.

    Raises InputError for a user or password that Dex does not take, OstinatoError for a login that is not Dex's.
    """
    import requests

    user, password = os.environ.get(USER, ""), secret(PASSWORD)
    if not user or not password:
        raise InputError(f"kubeflow.auth is dex; set {USER} and {PASSWORD} or {PASSWORD}_FILE")
    session = requests.Session()
    session.verify = settings.ca_file or True
    try:
        page = session.get(settings.endpoint, timeout=DEX_S)
        if page.status_code in (401, 403):  # oauth2-proxy's own page, before Dex's
            start = urlsplit(page.url)
            asked = start._replace(path="/oauth2/start", query=urlencode({"rd": start.path or "/"}))
            page = session.get(asked.geturl(), timeout=DEX_S)
        if not page.history and page.ok:
            return ""  # nobody asks for a login here
        page = _dex_form(session, page)
        page = session.post(page.url, data={"login": user, "password": password}, timeout=DEX_S)
        if not page.history:
            raise InputError(f"Dex at {_host(page.url)} does not take {USER} {user!r} with this {PASSWORD}")
        if urlsplit(page.url).path.endswith("/approval"):
            page = session.post(page.url, data={"approval": "approve"}, timeout=DEX_S)
    except requests.RequestException as error:
        raise OstinatoError(f"the login at {settings.endpoint} failed: {type(error).__name__}") from error
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    if not cookies:
        raise OstinatoError(f"the login at {_host(page.url)} ended without a session ({page.status_code})")
    return cookies


def _dex_form(session: Any, page: Any) -> Any:
    """The page with the form for user and password, past the one where the kind of login is chosen."""
    place = urlsplit(page.url)
    if re.search(r"/auth$", place.path):
        page = session.get(place._replace(path=place.path + "/local").geturl(), timeout=DEX_S)
    if not page.ok or not re.search(r"/auth/.*", urlsplit(page.url).path):
        raise OstinatoError(
            f"{_host(page.url)} did not show Dex's login form ({page.status_code}); kubeflow.auth: dex is for users of "
            "Dex's own database"
        )
    return page


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
