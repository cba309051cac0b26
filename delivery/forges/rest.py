"""REST as the forges speak it: JSON, pages by Link header, bounded retries, and one message for each way to fail."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from delivery.addresses import signed_with
from delivery.forges.forge import AlreadyProposed, Forge, ForgeError, ForgeUnavailable
from delivery.retry import RetryPolicy, is_transient, retry_after, retrying

if TYPE_CHECKING:
    import requests

CONNECT_S, READ_S = 5.0, 20.0
M = TypeVar("M", bound=BaseModel)
PAGES = 10


@dataclass(frozen=True)
class Kind:
    """A kind of forge: what must be known before it is asked anything."""

    title: str
    client: "Callable[[Place], Forge]"
    root: str
    """Of the API on a host of one's own."""
    scheme: str
    """Before the token in the header Authorization, such as ``Bearer ``."""
    scopes: str
    """What the token must be allowed to do, in the forge's words."""
    hosts: tuple[str, ...]
    """Hosts that are known without a setting; `….ghe.com` is GitHub too."""


@dataclass(frozen=True)
class Place:
    """One repository behind a forge's API, and how to be let in."""

    kind: Kind
    api: str
    """Root of the API, without a slash at its end."""
    repository: str
    token: str = field(repr=False)
    token_source: str
    """Where the token was found or, without one, how to give one."""


class Rest:
    """Requests to one forge. The token goes to its API only: redirects are not followed, .netrc is not read."""

    def __init__(self, place: Place, headers: Mapping[str, str]) -> None:
        self.place = place
        self.name = f"{place.kind.title} ({place.api})"
        self._headers = dict(headers)
        self._session: requests.Session | None = None

    def get(self, model: type[M], path: str) -> M:
        """One thing. Raises ForgeError."""
        return self.checked(model, self._json(self._call("GET", path)))

    def all(self, model: type[M], path: str, pages: int = PAGES, **query: Any) -> Iterator[M]:
        """Things of a list, page by page, at most ``pages`` of them; 0 for a list without. Raises ForgeError."""
        for page in range(1, max(pages, 1) + 1):
            answer = self._call("GET", path, query={**query, "page": page} if pages else query)
            body = self._json(answer)
            if not isinstance(body, list):
                raise ForgeError(f"{self.name} answered GET {path} with something else than a list")
            yield from (self.checked(model, entry) for entry in body)
            if "next" not in answer.links:
                return

    def send(self, method: str, path: str, body: Mapping[str, Any], *, again: bool = True) -> Any:
        """Change something. ``again``: whether it may be sent twice when the answer is lost. Raises ForgeError."""
        return self._json(self._call(method, path, body=body, again=again))

    def checked(self, model: type[M], answer: Any) -> M:
        """The answer as its model. Raises ForgeError that names the field."""
        try:
            return model.model_validate(answer)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the answer"
            raise ForgeError(
                f"{self.name} answered in another form than its API has: {field}: {first['msg']}"
            ) from error

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        again: bool = True,
    ) -> "requests.Response":
        import requests

        if not self.place.token:
            raise ForgeError(f"{self.name} wants a token: {self.place.token_source}; it needs {self.place.kind.scopes}")
        if self._session is None:
            self._session = requests.Session()
        try:
            answer = retrying(RetryPolicy(), lambda outcome: _is_limited(outcome) or (again and is_transient(outcome)))(
                self._session.request,
                method,
                f"{self.place.api}{path}",
                params=query,
                json=body,
                headers=self._headers,
                auth=signed_with(self.place.kind.scheme + self.place.token),
                timeout=(CONNECT_S, READ_S),
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as error:
            raise ForgeUnavailable(f"{self.name} did not answer {method} {path}: {self._safe(str(error))}") from error
        if answer.status_code >= 300:
            raise self._refusal(method, path, answer)
        return answer

    def _json(self, answer: "requests.Response") -> Any:
        """None for an answer without content. Raises ForgeError for one that is no JSON."""
        import requests

        try:
            return answer.json() if answer.content else None
        except requests.exceptions.JSONDecodeError as error:
            request = f"{answer.request.method} {urlsplit(answer.url).path}"
            raise ForgeError(
                f"{self.name} answered {request} with HTTP {answer.status_code} and no JSON; is the setting `forge` "
                "the forge's own address, with no login page before it?"
            ) from error

    def _safe(self, text: str) -> str:
        return text.replace(self.place.token, "***")[:300]

    def _refusal(self, method: str, path: str, answer: "requests.Response") -> ForgeError:
        """The error for a status: what was said, what it means, the fix."""
        status, place, words = answer.status_code, self.place, self._safe(_words(answer))
        reply = f"HTTP {status} to {method} {path}: {words}"
        if _is_limited(answer):
            seconds = retry_after(answer)
            wait = f", and asks to wait {seconds:.0f} s" if seconds else ""
            return ForgeUnavailable(f"{self.name} limits how often it is asked{wait} ({reply})")
        if status >= 500:
            return ForgeUnavailable(f"{self.name} has trouble of its own ({reply})")
        if status in (409, 422) and "already exists" in words:
            return AlreadyProposed(f"{self.name} has a proposal of that branch ({reply})")
        if 300 <= status < 400:
            address = answer.headers.get("Location", "elsewhere")
            return ForgeError(f"{self.name} has moved {place.repository} to {address}; set the manifests remote to it")
        meaning = {
            401: f"refuses the token of {place.token_source}: it is expired, revoked or another place's",
            403: f"does not allow this with the token of {place.token_source}; it needs {place.kind.scopes}",
            404: f"does not know {place.repository}, or not for the token of {place.token_source}; it needs "
            f"{place.kind.scopes}",
        }
        return ForgeError(f"{self.name} {meaning.get(status, 'refuses what it was sent')} ({reply})")


def _words(answer: "requests.Response") -> str:
    """What a forge says of its refusal."""
    try:
        body = json.loads(answer.content)
    except ValueError:
        return answer.text
    if isinstance(body, dict):
        kept = {key: value for key, value in body.items() if key in ("message", "error", "errors") and value}
        return json.dumps(kept, ensure_ascii=False)
    return str(body or "")


def _is_limited(outcome: Any) -> bool:
    """Whether the forge is asked too often; GitHub answers 403 then."""
    status = getattr(outcome, "status_code", 0)
    return status == 429 or (status == 403 and "rate limit" in _words(outcome).lower())
