"""REST as the forges speak it: JSON, pages by Link header, bounded retries, and one message for each way to fail."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from delivery.forges.forge import AlreadyProposed, ForgeError, ForgeUnavailable

if TYPE_CHECKING:
    import requests

CONNECT_S, READ_S = 5.0, 20.0
M = TypeVar("M", bound=BaseModel)
ATTEMPTS = 3
LONGEST_WAIT_S = 10.0
"""That a forge may ask for with Retry-After; who asks for more is not waited for."""
PAGES = 10


@dataclass(frozen=True)
class Place:
    """One repository behind a forge's API, and how to be let in."""

    title: str
    api: str
    """Root of the API, without a slash at its end."""
    repository: str
    scheme: str
    """Before the token in the header Authorization, such as ``Bearer ``."""
    token: str
    token_source: str
    """Where the token was found or, without one, how to give one."""
    scopes: str
    """What the token must be allowed to do, in the forge's words."""

    def __repr__(self) -> str:
        return f"Place({self.title}, {self.api}, {self.repository})"


class User(BaseModel):
    """As GitHub and Gitea, whose API follows GitHub's, name a person."""

    login: str


class Note(BaseModel):
    id: int
    user: User | None
    body: str | None = None


class Review(BaseModel):
    user: User | None


class Rest:
    """Requests to one forge. The token goes to its API only: redirects are not followed, .netrc is not read."""

    def __init__(self, place: Place, headers: Mapping[str, str]) -> None:
        self.place = place
        self.name = f"{place.title} ({place.api})"
        self._headers = dict(headers)
        self._session: requests.Session | None = None

    def get(self, model: type[M], path: str) -> M:
        """One thing. Raises ForgeError."""
        return self.checked(model, self._call("GET", path).body)

    def all(self, model: type[M], path: str, pages: int = PAGES, **query: Any) -> Iterator[M]:
        """Things of a list, page by page, at most ``pages`` of them; 0 for a list without. Raises ForgeError."""
        for page in range(1, max(pages, 1) + 1):
            answer = self._call("GET", path, query={**query, "page": page} if pages else query)
            if not isinstance(answer.body, list):
                raise ForgeError(f"{self.name} answered GET {path} with something else than a list")
            yield from (self.checked(model, one) for one in answer.body)
            if not answer.has_next:
                return

    def send(self, method: str, path: str, body: Mapping[str, Any], *, again: bool = True) -> Any:
        """Change something. ``again``: whether it may be sent twice when the answer is lost. Raises ForgeError."""
        return self._call(method, path, body=body, again=again).body

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
    ) -> "_Answer":
        if not self.place.token:
            raise ForgeError(f"{self.name} wants a token: {self.place.token_source}; it needs {self.place.scopes}")
        for left in reversed(range(ATTEMPTS)):
            try:
                answer = self._once(method, path, query, body)
            except _Lost as lost:
                if not (left and again):
                    raise ForgeUnavailable(f"{self.name} did not answer {method} {path}: {lost}") from lost
                _pause(ATTEMPTS - left, None)
                continue
            if answer.status < 300:
                return answer
            waits = answer.limited or (answer.status >= 500 and again)
            if left and waits and (answer.retry_after or 0.0) <= LONGEST_WAIT_S:
                _pause(ATTEMPTS - left, answer.retry_after)
                continue
            raise self._refusal(method, path, answer)
        raise AssertionError

    def _once(
        self, method: str, path: str, query: Mapping[str, str | int] | None, body: Mapping[str, Any] | None
    ) -> "_Answer":
        import requests

        if self._session is None:
            self._session = requests.Session()
        try:
            answer = self._session.request(
                method,
                f"{self.place.api}{path}",
                params=query,
                json=body,
                headers=self._headers,
                auth=self._authorize,
                timeout=(CONNECT_S, READ_S),
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as error:
            raise _Lost(self._safe(str(error))) from error
        try:
            found = answer.json() if answer.content else None
        except requests.exceptions.JSONDecodeError as error:
            if answer.status_code < 300:
                raise ForgeError(
                    f"{self.name} answered {method} {path} with HTTP {answer.status_code} and no JSON; is the setting "
                    "`forge` the forge's own address, with no login page before it?"
                ) from error
            found = answer.text
        return _Answer(answer.status_code, found, dict(answer.headers), "next" in answer.links)

    def _authorize(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        request.headers["Authorization"] = self.place.scheme + self.place.token
        return request

    def _safe(self, text: str) -> str:
        return text.replace(self.place.token, "***")[:300]

    def _refusal(self, method: str, path: str, answer: "_Answer") -> ForgeError:
        """The error for a status: what was said, what it means, the fix."""
        said = self._safe(answer.said)
        told = f"HTTP {answer.status} to {method} {path}: {said}"
        place = self.place
        if answer.limited:
            wait = f", and asks to wait {answer.retry_after:.0f} s" if answer.retry_after else ""
            return ForgeUnavailable(f"{self.name} limits how often it is asked{wait} ({told})")
        if answer.status >= 500:
            return ForgeUnavailable(f"{self.name} has trouble of its own ({told})")
        if answer.status in (409, 422) and "already exists" in said:
            return AlreadyProposed(f"{self.name} has a proposal of that branch ({told})")
        if 300 <= answer.status < 400:
            where = answer.headers.get("Location", "elsewhere")
            return ForgeError(f"{self.name} has moved {place.repository} to {where}; set the manifests remote to it")
        meaning = {
            401: f"refuses the token of {place.token_source}: it is expired, revoked or another place's",
            403: f"does not allow this with the token of {place.token_source}; it needs {place.scopes}",
            404: f"does not know {place.repository}, or not for the token of {place.token_source}; it needs "
            f"{place.scopes}",
        }
        return ForgeError(f"{self.name} {meaning.get(answer.status, 'refuses what it was sent')} ({told})")


class _Lost(Exception):
    """No answer came."""


@dataclass(frozen=True)
class _Answer:
    status: int
    body: Any
    headers: dict[str, str]
    has_next: bool

    @property
    def said(self) -> str:
        if isinstance(self.body, dict):
            kept = {key: value for key, value in self.body.items() if key in ("message", "error", "errors") and value}
            return json.dumps(kept, ensure_ascii=False)
        return str(self.body or "")

    @property
    def retry_after(self) -> float | None:
        """Seconds; None where the forge does not say, or says it as a date."""
        text = {name.lower(): value for name, value in self.headers.items()}.get("retry-after", "")
        return float(text) if text.isdecimal() else None

    @property
    def limited(self) -> bool:
        """GitHub answers 403 to who asks too often."""
        return self.status == 429 or (self.status == 403 and "rate limit" in self.said.lower())


def _pause(attempt: int, asked: float | None) -> None:
    time.sleep(asked if asked is not None else random.uniform(0.1, 0.3) * 2**attempt)
