"""Kubeflow's API by its generated client, with bounded patience: reads are repeated, changes are looked for first."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import kfp_server_api
import urllib3

from delivery.addresses import is_loopback, reason
from delivery.retry import RetryPolicy, retrying
from pipelines.backends.kubeflow.api_errors import Failure, explained, is_passing, refused, server_message
from pipelines.backends.kubeflow.credentials import dex_cookies, token_hook
from pipelines.backends.kubeflow.kubeflow_settings import KubeflowSettings
from training.errors import InputError

T = TypeVar("T")
Entry = dict[str, Any]
PAGE = 100
"""Entries that are asked for at once."""
KEPT = 512 * 1024
"""Bytes at the end of a long answer that are looked at."""
LONGEST = 64 * 1024 * 1024
"""Bytes of a long answer that are read."""


@dataclass(frozen=True)
class KubeflowRetryPolicy(RetryPolicy):
    """How long an answer is waited for, and how often it is asked for."""

    attempts: int = 4
    pause_s: float = 2
    total_s: float = 300
    connect_s: float = 10
    read_s: float = 60


class KubeflowConnection:
    """One installation. Its services are kfp_server_api's; answers are plain JSON, and what is none is a failure: the
    generated models would take a login page for an empty list."""

    def __init__(self, settings: KubeflowSettings, patience: KubeflowRetryPolicy) -> None:
        self.settings, self.patience = settings, patience
        check_endpoint(settings)
        configuration = kfp_server_api.Configuration(host=settings.endpoint.rstrip("/"))
        ca: Any = settings.ca_file or None
        configuration.ssl_ca_cert = ca
        # The client's own repetitions would follow a redirection to a login page, and hide an answer with Retry-After.
        limits: Any = {"connect": 0, "read": 0, "redirect": 0, "status": 0, "other": 0}
        retries: Any = urllib3.Retry(**limits, raise_on_redirect=False, respect_retry_after_header=False)
        configuration.retries = retries
        hook: Any = token_hook(settings)
        if hook:
            configuration.api_key["authorization"] = "not read yet"
            configuration.api_key_prefix["authorization"] = "Bearer"
            configuration.refresh_api_key_hook = hook
        self._client = kfp_server_api.ApiClient(configuration)
        if settings.auth == "dex":
            self._client.cookie = dex_cookies(settings)
        self.pipelines = kfp_server_api.PipelineServiceApi(self._client)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(self._client)
        self.experiments = kfp_server_api.ExperimentServiceApi(self._client)
        self.runs = kfp_server_api.RunServiceApi(self._client)
        self.recurring = kfp_server_api.RecurringRunServiceApi(self._client)
        self.health = kfp_server_api.HealthzServiceApi(self._client)

    def once(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Entry:
        """The answer to one request. Raises Failure. A session that has ended is opened again once."""
        try:
            return self._once(method, *arguments, **named)
        except Failure as failure:
            if self.settings.auth != "dex" or not (failure.page or failure.status == 401):
                raise
        self._client.cookie = dex_cookies(self.settings)
        return self._once(method, *arguments, **named)

    def _once(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Entry:
        raw = self._raw(method, *arguments, **named)
        try:
            answer = json.loads(raw or b"{}")
        except ValueError as error:
            page = raw.lstrip()[:1] == b"<"
            raise Failure(200 if page else 0, "an answer that is no JSON", page) from error
        if not isinstance(answer, dict):
            raise Failure(0, f"an answer that is no JSON object: {server_message(str(answer))}")
        return answer

    def _raw(
        self, method: Callable[..., Any], *arguments: Any, read: Callable[[Any], bytes] | None = None, **named: Any
    ) -> bytes:
        """The body of an answer. read: of the response; else all of it."""
        limits = (self.patience.connect_s, self.patience.read_s)
        try:
            response = method(*arguments, _preload_content=False, _request_timeout=limits, **named)
            return read(response) if read else response.data
        except kfp_server_api.ApiException as error:
            raise refused(error.status or 0, error.body or error.reason or "", error.headers) from error
        except UnicodeDecodeError as error:  # of the body of an error
            raise Failure(502, "no text") from error
        except urllib3.exceptions.HTTPError as error:
            unknown = isinstance(getattr(error, "reason", error), urllib3.exceptions.SSLError)
            raise Failure(0, server_message(reason(error)), certificate=unknown) from error

    def tail(self, path: str, **query: str) -> bytes:
        """The last part of what is at a path that the generated client does not know; asked once. Raises Failure."""

        def get(**named: Any) -> Any:
            return self._client.call_api(
                path, "GET", {}, list(query.items()), {}, auth_settings=["Bearer"], _return_http_data_only=True, **named
            )

        return self._raw(get, read=_last_part)

    def ask(self, doing: str, method: Callable[..., Any], *arguments: Any, **named: Any) -> Entry:
        """The answer to a question that changes nothing. Raises InputError or OstinatoError."""
        try:
            return retrying(self.patience, is_passing)(self.once, method, *arguments, **named)
        except Failure as failure:
            raise explained(failure, doing, self.settings) from failure

    def entries(
        self, doing: str, key: str, method: Callable[..., Any], *arguments: Any, **named: Any
    ) -> Iterator[Entry]:
        """The entries of all pages of a list; a page is asked for when it is met."""
        seen: set[str] = set()
        token = ""
        while token not in seen:
            seen.add(token)
            more = {"page_token": token} if token else {}
            answer = self.ask(doing, method, *arguments, page_size=PAGE, **more, **named)
            yield from answer.get(key) or []
            token = answer.get("next_page_token") or ""
            if not token:
                return

    def oldest(
        self, kind: str, name: str, key: str, method: Callable[..., Any], *arguments: Any, **named: Any
    ) -> Entry | None:
        """The first entry of exactly this name: two who make one in the same moment agree on that."""
        doing, filter_ = f"looking for the {kind} {name}", filter_by("display_name", name)
        listed = self.entries(doing, key, method, *arguments, filter=filter_, **named)
        same = [entry for entry in listed if entry.get("display_name") == name]
        return min(same, key=lambda entry: (entry.get("created_at") or "", entry.get("run_id") or ""), default=None)

    def settle(self, doing: str, look: Callable[[], T | None], change: Callable[[], T]) -> tuple[T, bool]:
        """Bring about what ``look`` finds, at least once; it is looked for before each try and after each failure.

        Gives what is there, and whether this call made it. Raises InputError or OstinatoError.
        """

        def bring_about() -> tuple[T, bool]:
            present = look()
            if present is not None:
                return present, False
            try:
                return change(), True
            except Failure as failure:
                present = look()
                if present is None:
                    raise
                return present, failure.status != 409

        try:
            return retrying(self.patience, lambda outcome: is_passing(outcome, 409))(bring_about)
        except Failure as failure:
            raise explained(failure, doing, self.settings) from failure


def filter_by(key: str, text: str, operation: str = "EQUALS") -> str:
    """A filter for entries that have this text under a key, or contain it there: IS_SUBSTRING."""
    return json.dumps({"predicates": [{"operation": operation, "key": key, "string_value": text}]})


def _last_part(response: Any) -> bytes:
    """Of a body that may be long, such as a log. Raises Failure for one that is longer than is read."""
    kept, total = b"", 0
    for chunk in response.stream(64 * 1024):
        kept = (kept + chunk)[-KEPT:]
        total += len(chunk)
        if total > LONGEST:
            response.close()
            raise Failure(413, f"more than {LONGEST >> 20} MiB")
    return kept


def check_endpoint(settings: KubeflowSettings) -> None:
    """Raises InputError for an endpoint that can't be right, or that would get a secret in the clear."""
    parts = urlsplit(settings.endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            f"kubeflow.endpoint is {settings.endpoint!r}; write the URL of the API, such as https://HOST/pipeline, or "
            "http://localhost:8080 behind kubectl port-forward"
        )
    if "@" in parts.netloc:
        raise InputError("kubeflow.endpoint has a user or password in it; leave it out, and set kubeflow.auth")
    inside = is_loopback(parts.netloc) or parts.hostname.endswith((".svc", ".svc.cluster.local"))
    if settings.auth != "none" and parts.scheme == "http" and not inside:
        raise InputError(
            f"kubeflow.endpoint is {settings.endpoint}, and kubeflow.auth: {settings.auth} would send a secret over "
            "plain HTTP; give its https:// URL"
        )
    if settings.ca_file and not Path(settings.ca_file).is_file():
        raise InputError(f"kubeflow.ca_file is {settings.ca_file!r}, and there is no such file")
