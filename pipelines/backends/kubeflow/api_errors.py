"""What can go wrong with Kubeflow's API, as one message that names the setting to change."""

import json
import re
from collections.abc import Mapping

from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from pipelines.backends.remote import BackendSilent
from training.errors import InputError, OstinatoError

TRANSIENT = (0, 408, 429, 500, 502, 503, 504)
"""Answers after which the same question may be answered; 0 for no answer."""
LONGEST = 400
"""Characters of a server's own words in a message."""

CREDENTIALS = {
    "none": "set kubeflow.auth to token, iap or dex, whichever this installation has",
    "token": "OSTINATO_KUBEFLOW_TOKEN[_FILE], or the token that the cluster mounts, must be of the audience "
    "pipelines.kubeflow.org and not expired",
    "iap": "kubeflow.client_id must be the OAuth client of the proxy, and the service account needs the role "
    "roles/iap.httpsResourceAccessor",
    "dex": "OSTINATO_KUBEFLOW_USER and OSTINATO_KUBEFLOW_PASSWORD[_FILE] must be of a user of Dex's own database",
}


class Failure(Exception):
    """An answer of no use. status: HTTP's; 0 if there was no whole answer. page: it is a web page, or a way to one.
    certificate: who is there can't be trusted."""

    def __init__(self, status: int, text: str, page: bool = False, certificate: bool = False) -> None:
        super().__init__(text)
        self.status, self.text, self.page, self.certificate = status, text, page, certificate
        self.headers: Mapping[str, str] = {}

    @property
    def transient(self) -> bool:
        return self.status in TRANSIENT and not self.certificate


def is_passing(outcome: object, *statuses: int) -> bool:
    """Whether an outcome is a failure that may pass by itself, or one of the statuses."""
    return isinstance(outcome, Failure) and (outcome.transient or outcome.status in statuses)


def refused(status: int, body: str, headers: Mapping[str, str] | None = None) -> Failure:
    """The failure of an answer that has another status than 2xx."""
    page = 300 <= status < 400 or body.lstrip()[:1] == "<"
    failure = Failure(status, "a web page" if page else server_message(body), page)
    failure.headers = headers or {}
    return failure


def server_message(body: str) -> str:
    """The server's own words: of the API's status message, else the beginning of what came."""
    try:
        answer = json.loads(body)
        text = answer.get("message") or answer.get("error_message") or body if isinstance(answer, dict) else body
    except ValueError:
        text = body
    return re.sub(r"\s+", " ", str(text)).strip()[:LONGEST] or "nothing"


def explained(failure: Failure, doing: str, settings: KubeflowSettings) -> OstinatoError:
    """The error to raise: InputError where a setting can't be right, OstinatoError where the backend can't be used."""
    where, status, text = f"Kubeflow at {settings.endpoint}", failure.status, failure.text
    namespace = settings.namespace or "that Kubeflow Pipelines is in"
    if failure.certificate:
        return InputError(
            f"{where} has a certificate that is not trusted: {text}; set kubeflow.ca_file "
            f"({settings.ca_file!r}) to the certificates (PEM) that it is signed by"
        )
    if failure.page and (status < 400 or status in (401, 403)):
        return InputError(
            f"{where} answered with a login or web page while {doing}: either kubeflow.endpoint is not the API's "
            f"address (https://HOST/pipeline), or the login did not work: {CREDENTIALS[settings.auth]}"
        )
    if status == 401:
        return InputError(
            f"{where} does not know us (401) while {doing}; kubeflow.auth is {settings.auth!r}: "
            f"{CREDENTIALS[settings.auth]}. It said: {text}"
        )
    if status == 403:
        return InputError(
            f"{where} does not allow us (403) {doing}; check kubeflow.namespace ({settings.namespace!r}), and give the "
            f"account the role kubeflow-pipelines-edit in the namespace {namespace}. It said: {text}"
        )
    if status == 404:
        return InputError(
            f"{where} has nothing at the address (404) while {doing}; check that kubeflow.endpoint is the API's, such "
            f"as https://HOST/pipeline, and is Kubeflow Pipelines 2. It said: {text}"
        )
    if status == 409 and "manifest" in text:
        return OstinatoError(
            f"{where} can't do it yet (409) while {doing}: it has no report of what the run did; try again in a "
            f"minute. It said: {text}"
        )
    if status == 409:
        return OstinatoError(f"{where} has a conflict (409) while {doing}, again and again; it said: {text}")
    if 400 <= status < 500 and not failure.transient:
        return InputError(f"{where} refused ({status}) {doing}; it said: {text}")
    if status:
        return BackendSilent(f"{where} failed ({status}) while {doing}; it said: {text}. The same command goes on")
    return BackendSilent(
        f"{where} gave no whole answer while {doing}: {text}. Check kubeflow.endpoint and the network; the same "
        "command goes on"
    )
