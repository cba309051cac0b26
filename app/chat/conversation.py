"""What the page may send: a bounded conversation that ends with the question to answer."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

QUESTION_CHARS = 4_000
CONVERSATION_CHARS = 60_000
MESSAGES = 41
"""Twenty questions with their answers, and the question now."""
BODY_BYTES = 8 * CONVERSATION_CHARS
"""Above any conversation within the bounds, unless its JSON escapes nearly every character."""


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["user", "assistant"]
    content: Annotated[str, StringConstraints(min_length=1)]


class Conversation(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    messages: tuple[Message, ...]

    @model_validator(mode="after")
    def within_bounds(self) -> Self:
        roles = [message.role for message in self.messages]
        if roles != [("user", "assistant")[place % 2] for place in range(len(roles))] or len(roles) % 2 == 0:
            raise refusal("A conversation is questions and answers in turn, and ends with a question.")
        if not self.messages[-1].content.strip():
            raise refusal("The question is empty.")
        if len(self.messages[-1].content) > QUESTION_CHARS:
            raise refusal(f"The question has more than {QUESTION_CHARS:,} characters. Ask a shorter one.")
        if len(roles) > MESSAGES:
            raise refusal(f"This conversation has more than {MESSAGES // 2} questions. Start a new one.")
        if sum(len(message.content) for message in self.messages) > CONVERSATION_CHARS:
            raise refusal("This conversation is too long. Start a new one.")
        return self


def refusal(message: str) -> PydanticCustomError:
    return PydanticCustomError("conversation", message)  # pyright: ignore[reportArgumentType] - one of our own texts
