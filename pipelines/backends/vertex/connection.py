"""Talking to Vertex AI: Google's own clients over REST, a bounded number of tries, and one clear message for what
can't be helped by trying again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from delivery.addresses import is_loopback
from delivery.retry import RetryPolicy, raised, retrying
from pipelines.backends.remote import BackendSilent
from pipelines.backends.vertex.api_errors import Passing, explain
from pipelines.backends.vertex.vertex_settings import VertexSettings
from training.errors import InputError

if TYPE_CHECKING:
    from google.cloud import aiplatform_v1, aiplatform_v1beta1

REQUIRED = ("project", "region", "pipeline_root")


@dataclass(frozen=True)
class VertexRetryPolicy(RetryPolicy):
    """How long Vertex AI is waited for."""

    attempts: int = 5
    pause_s: float = 2
    total_s: float = 330
    request_s: float = 60


class VertexConnection:
    """The services of one project in one region."""

    def __init__(self, settings: VertexSettings, patience: VertexRetryPolicy) -> None:
        missing = [name for name in REQUIRED if not getattr(settings, name)]
        if missing:
            names = " and ".join(f"vertex.{name}" for name in missing)
            first = missing[0]
            raise InputError(f"{names}: not set; set OSTINATO_VERTEX__{first.upper()}, or --set vertex.{first}=VALUE")
        self.settings, self.patience = settings, patience
        self.parent = f"projects/{settings.project}/locations/{settings.region}"
        self.address = settings.endpoint or f"https://{settings.region}-aiplatform.googleapis.com"
        self._check_address()

    def _check_address(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.netloc)):
            return
        raise InputError(
            f"vertex.endpoint {self.address!r}: everybody on the way would read the access token; give an https:// URL"
        )

    @cached_property
    def jobs(self) -> "aiplatform_v1.PipelineServiceClient":
        return self._client("aiplatform_v1", "PipelineServiceClient")

    @cached_property
    def reruns(self) -> "aiplatform_v1beta1.PipelineServiceClient":
        """Going on with a run is published in the beta of the interface only."""
        return self._client("aiplatform_v1beta1", "PipelineServiceClient")

    @cached_property
    def schedules(self) -> "aiplatform_v1.ScheduleServiceClient":
        return self._client("aiplatform_v1", "ScheduleServiceClient")

    def _client(self, version: str, name: str) -> Any:
        """Raises InputError where the package or the credentials are missing."""
        import importlib

        try:
            module = importlib.import_module(f"google.cloud.{version}")
        except ImportError as error:
            raise InputError(
                f"Vertex AI needs a package that is not installed ({error.name}): pip install 'ostinato[vertex]'"
            ) from error
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import DefaultCredentialsError

        # Nobody's token goes to an address of this machine; it is not Google's.
        own = AnonymousCredentials() if is_loopback(urlsplit(self.address).netloc) else None
        try:
            return getattr(module, name)(
                credentials=own, transport="rest", client_options={"api_endpoint": self.address}
            )
        except DefaultCredentialsError as error:
            raise InputError(
                "Vertex AI: there are no Google credentials here; run `gcloud auth application-default login`, or set "
                f"GOOGLE_APPLICATION_CREDENTIALS to a file of credentials ({error})"
            ) from error

    def call(self, what: str, method: Callable[..., Any], request: dict[str, Any]) -> Any:
        """The answer to a request that may be sent again. ``what`` is being done, for messages.

        Raises NotThere, AlreadyThere, or OstinatoError for everything else.
        """
        tries = retrying(self.patience, raised(Passing))
        try:
            return tries(self.once, what, method, request)
        except Passing as problem:
            raise BackendSilent(f"{problem} (tried {tries.statistics['attempt_number']} times)") from problem

    def once(self, what: str, method: Callable[..., Any], request: dict[str, Any]) -> Any:
        """The answer to one request. Raises Passing for a problem that may pass by itself, else as :meth:`call`."""
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError
        from google.protobuf.json_format import ParseError
        from requests import RequestException

        try:
            return method(request=request, timeout=self.patience.request_s, retry=None)
        except (GoogleAPICallError, GoogleAuthError, ParseError, RequestException) as error:
            problem, again = explain(what, error, self.settings, self.address)
            if not again:
                raise problem from error
            raise Passing(str(problem), getattr(error, "response", None)) from error

    def pages(self, what: str, method: Callable[..., Any], request: dict[str, Any]) -> Iterator[Any]:
        """All pages of a list."""
        token = ""
        while True:
            page = self.call(what, method, {**request, "page_token": token})
            yield page
            token = page.next_page_token
            if not token:
                return
