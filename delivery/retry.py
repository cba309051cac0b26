"""What is tried again, how often and after which pause, and how long a server's Retry-After is waited for."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which the same request may succeed."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often something is tried, and for how long. Pauses are random, so that clients don't return all at once."""

    attempts: int = 3
    pause_s: float = 0.5
    """Longest pause after the first attempt; it doubles each time. A server's Retry-After takes its place."""
    longest_pause_s: float = 30.0
    """Between two attempts. A server that asks for more is not waited for."""
    total_s: float = 120.0
    """No attempt begins later than this after the first."""
    sleep: Callable[[float], Any] = time.sleep


def retrying(policy: RetryPolicy, again: Callable[[Any], bool]) -> "Retrying":
    """Call it with a function: gives the last result, or raises the last exception; neither is wrapped.

    ``again`` is asked of each result and exception whether to try again. Or iterate, where a part of each round alone
    is retried: ``for attempt in retrying(...): with attempt: ...``.
    """
    from tenacity import Retrying, stop_after_attempt, stop_before_delay

    def pause(state: "RetryCallState") -> float:
        asked = retry_after(outcome(state))
        exponential = min(policy.pause_s * 2 ** (state.attempt_number - 1), policy.longest_pause_s)
        return random.uniform(0, exponential) if asked is None else asked

    limits = stop_after_attempt(policy.attempts) | stop_before_delay(policy.total_s)
    return Retrying(
        sleep=policy.sleep,
        retry=lambda state: again(outcome(state)),
        wait=pause,
        stop=lambda state: limits(state) or state.upcoming_sleep > policy.longest_pause_s,
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )


def outcome(state: "RetryCallState") -> Any:
    assert state.outcome
    return state.outcome.exception() if state.outcome.failed else state.outcome.result()


def raised(*errors: type[Exception]) -> Callable[[Any], bool]:
    """Whether an outcome is one of these exceptions."""
    return lambda outcome: isinstance(outcome, errors)


def is_transient(outcome: Any) -> bool:
    """Whether an answer of requests, or its exception, may be another one the next time; a bad certificate stays."""
    from requests.exceptions import ChunkedEncodingError, ConnectionError, SSLError, Timeout

    unanswered = isinstance(outcome, (ConnectionError, Timeout, ChunkedEncodingError))
    return (unanswered and not isinstance(outcome, SSLError)) or getattr(outcome, "status_code", 0) in TRANSIENT


def retry_after(outcome: Any) -> float | None:
    """Seconds that an answer, or an exception with one, asks to wait; None where it does not.

    The header holds seconds or a date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after.
    """
    answer = getattr(outcome, "response", None)
    headers = getattr(outcome if answer is None else answer, "headers", None) or {}
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text) if text[:1].isdigit() else parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return None
    return max(0.0, seconds)
