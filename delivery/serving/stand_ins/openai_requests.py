"""What a caller may ask of a language model over OpenAI's protocol, and the form of a refusal.

https://platform.openai.com/docs/api-reference/chat/create and /completions/create. A field that would change the answer
and is not supported is refused; one that would not, such as `user`, is passed over.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

UNSUPPORTED = (
    *(
        "tools",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "logprobs",
        "top_logprobs",
        "logit_bias",
    ),
    *("frequency_penalty", "presence_penalty", "audio", "prediction", "suffix", "echo", "best_of"),
)


class RefusedRequest(Exception):
    """A request that is answered with an error in OpenAI's form."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Strict(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class ContentPart(Strict):
    type: Literal["text"]
    text: str


class Message(Strict):
    role: Literal["system", "user", "assistant"]
    content: str | list[ContentPart]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(Strict):
    include_usage: bool = False


class Asked(Strict):
    """The fields that chat and completion share."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=4)] = []
    n: Literal[1] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return [] if given is None else [given] if isinstance(given, str) else given

    @field_validator("n", "stream", mode="before")
    @classmethod
    def _null_is_the_default(cls, given: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if given is None else given

    @model_validator(mode="after")
    def _nothing_unsupported(self) -> Self:
        for name, value in (self.model_extra or {}).items():
            if name in UNSUPPORTED and value:
                raise ValueError(f"{name} is not supported here")
        return self

    @property
    def limit(self) -> int | None:
        """Most tokens of the answer, if there is a limit."""
        return self.max_tokens

    @property
    def with_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Asked):
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def conversation(self) -> list[dict[str, str]]:
        return [{"role": message.role, "content": message.text} for message in self.messages]


class CompletionRequest(Asked):
    prompt: str

    @property
    def limit(self) -> int | None:
        """16 unless given, as OpenAI's reference says."""
        return self.max_tokens or 16


Request = TypeVar("Request", bound=Asked)


def parse(kind: type[Request], body: bytes) -> Request:
    """Read a request. Raises RefusedRequest, 400, that names the first wrong field."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        raise RefusedRequest(400, f"{field}: {problem}" if field else problem, param=field or None) from error
