"""What can go wrong with an answer, in plain words for the user, and in OpenAI's words for the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger

from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

log = getLogger("app.chat")

LOGGED_CHARS = 500
TELL = "Please tell whoever runs this chat."
TOO_LONG = ("context_length", "context length", "too long", "maximum length", "max_model_len")
"""How servers say that the conversation doesn't fit the model's window; there is no status of its own for it."""


class Problem(Exception):
    """No answer, or not all of it. The message is for the user."""

    def __init__(self, message: str, *, again: bool) -> None:
        """again: whether asking the same again may help."""
        super().__init__(message)
        self.message = message
        self.again = again


class Malformed(Exception):
    """What came back is no chat completion."""


@contextmanager
def in_plain_words(model: str) -> Iterator[None]:
    """Raise the OpenAI SDK's errors as a Problem, and log what the endpoint said."""
    try:
        yield
    except (APIError, Malformed) as error:
        log.warning("%s: %s", type(error).__name__, for_the_log(error))
        raise problem(error, model) from error


def for_the_log(error: APIError | Malformed) -> str:
    """The message of the endpoint, or of the network below it."""
    if isinstance(error, APIConnectionError) and error.__cause__ is not None:
        return f"{error.message} ({error.__cause__!r})"[:LOGGED_CHARS]
    text = error.message if isinstance(error, APIError) else str(error)
    if isinstance(error, APIError) and isinstance(error.body, str):
        text += f" {error.body}"
    if isinstance(error, APIStatusError):
        text += f" (request {error.request_id})" if error.request_id else ""
    return text[:LOGGED_CHARS]


def problem(error: APIError | Malformed, model: str) -> Problem:
    match error:
        case APITimeoutError() | APIConnectionError():
            return Problem("The model can't be reached at the moment.", again=True)
        case RateLimitError():
            return Problem("The model has too much to do at the moment. Try again in a little while.", again=True)
        case AuthenticationError() | PermissionDeniedError():
            return Problem(f"This chat is not allowed to ask the model. {TELL}", again=False)
        case NotFoundError():
            return Problem(f"There is no model {model!r} where this chat looks for it. {TELL}", again=False)
        case APIStatusError() if error.status_code == 413 or says_too_long(error):
            return Problem("This conversation is too long for the model. Start a new one.", again=False)
        case BadRequestError():
            return Problem("The model did not accept this question.", again=False)
        case InternalServerError():
            return Problem("The model has a fault at the moment.", again=True)
        case APIStatusError():
            return Problem(f"The model's endpoint refused the question. {TELL}", again=False)
        case Malformed():
            return Problem(f"What came back is not an answer. {TELL}", again=True)
        case _:
            return Problem("The model reported a fault while it was answering.", again=True)


def says_too_long(error: APIStatusError) -> bool:
    text = f"{error.code} {error.message}".lower()
    return error.status_code in (400, 422) and any(phrase in text for phrase in TOO_LONG)
