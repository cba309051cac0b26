"""What the service is told, all of it by environment variables."""

from typing import Annotated

from pydantic import Field, HttpUrl, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "CHAT_"
EXAMPLES = {"base_url": "http://127.0.0.1:8080/openai/v1", "model": "llm-qa"}

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class WrongSettings(Exception):
    """A variable is missing or holds what it can't; the message names it."""


class Settings(BaseSettings):
    """CHAT_BASE_URL and so on; docs/how-to/chat.md has the table. An empty variable counts as not set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    base_url: HttpUrl
    """Where ``/chat/completions`` is under, such as ``http://127.0.0.1:8080/openai/v1``."""
    model: Annotated[str, Field(min_length=1)]
    """The name that the endpoint serves it by."""
    api_key: SecretStr | None = None
    port: Annotated[int, Field(ge=0, le=65535)] = 8090
    """On the loopback address; 0 takes any free one."""
    first_token_s: Seconds = 30.0
    """Until the first text of an answer, retries included."""
    timeout_s: Seconds = 120.0
    """For a whole answer."""
    max_tokens: Annotated[int, Field(ge=1)] = 512
    """Most tokens of one answer."""
    system: str | None = None
    """Said to the model before every conversation. A model of this project has its own inside its chat template."""


def read_settings() -> Settings:
    """Raises WrongSettings, with every variable that is wrong, and never with a value (one of them is a secret)."""
    try:
        return Settings()  # pyright: ignore[reportCallIssue] - the environment fills it
    except ValidationError as error:
        problems = [in_words(str(problem["loc"][0]), problem["msg"]) for problem in error.errors()]
        raise WrongSettings("; ".join(problems)) from None


def in_words(field: str, problem: str) -> str:
    variable = PREFIX + field.upper()
    if problem == "Field required":
        return f"{variable} is not set; set it, for example {variable}={EXAMPLES[field]}"
    return f"{variable}: {problem[0].lower()}{problem[1:]}"
