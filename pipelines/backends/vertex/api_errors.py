"""What an answer of Vertex AI that is no success means to who asked, and whether to ask again."""

from typing import Any

from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError, OstinatoError

LONGEST = 400
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class NotThere(OstinatoError):
    """Vertex AI has no such thing."""


class Passing(OstinatoError):
    """What may pass by itself. response: the answer that said so, None without one."""

    def __init__(self, message: str, response: Any) -> None:
        super().__init__(message)
        self.response = response


class AlreadyThere(OstinatoError):
    """Vertex AI has something of this name."""


def explain(
    what: str, error: Exception, settings: VertexSettings, address: str
) -> tuple[OstinatoError | InputError, bool]:
    """The problem as a user can act on it, and whether it may pass by itself."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.protobuf.json_format import ParseError
    from requests import Timeout

    where = f"{what}: Vertex AI at {address}"
    if isinstance(error, GoogleAPICallError):
        return _refused(where, int(error.code or 0), _short(error.message), settings)
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return OstinatoError(f"{where}: the credentials are of no use: {_short(error)}; {LOG_IN}"), error.retryable
    if isinstance(error, ParseError):
        return OstinatoError(f"{where} sent what is no answer of its interface: {_short(error)}"), True
    if isinstance(error, Timeout):
        return OstinatoError(f"{where} did not answer in time"), True
    return OstinatoError(f"{where} can't be reached: {_short(error)}"), True


LOG_IN = "log in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"


def _refused(where: str, code: int, server_message: str, settings: VertexSettings) -> tuple[OstinatoError, bool]:
    if code in TRANSIENT:
        hint = "; the quota of the project is used up" if code == 429 else ""
        return OstinatoError(f"{where} answered {code}: {server_message}{hint}"), True
    if code == 404:
        return NotThere(
            f"{where} answered 404: {server_message}; are vertex.project {settings.project!r} and vertex.region "
            f"{settings.region!r} right?"
        ), False
    if code == 409:
        return AlreadyThere(f"{where} answered 409: {server_message}"), False
    if code == 401:
        return OstinatoError(f"{where} did not take the credentials (401): {server_message}; {LOG_IN}"), False
    if code == 403:
        return OstinatoError(f"{where} does not allow it (403): {server_message}; {_grants(settings)}"), False
    return OstinatoError(f"{where} answered {code}: {server_message}"), False


def _grants(settings: VertexSettings) -> str:
    account = settings.service_account
    acting = f", and roles/iam.serviceAccountUser on {account}" if account else ""
    return (
        f"grant whoever submits roles/aiplatform.user on the project {settings.project}{acting}, and see that its "
        "Vertex AI API is enabled (gcloud services enable aiplatform.googleapis.com)"
    )


def _short(message: object) -> str:
    return " ".join(str(message).split())[:LONGEST]
