"""How the entry point refuses an event, and how it says that one means nothing."""


class Refused(Exception):
    """The request is not taken: the status of its answer and a reason that holds no secret."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Ignored(Exception):
    """The event is understood and starts nothing: answered with 200, so that its sender does not send it again."""
