"""`ostinato chat`: questions from the terminal to a served language model, answers as they are made."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TextIO

from delivery.serving.clients.chat import ChatModel, SamplingParameters, openai_url
from delivery.serving.runtimes import runtime_of
from training.errors import InputError, OstinatoError
from training.spec import ModelSpec

HERE = "http://127.0.0.1:8080"
"""Where `ostinato serve` listens unless it is told otherwise."""


def chat(root: Path, spec: ModelSpec, url: str | None, system: str, question: str | None) -> None:
    """Answer one question, or, without one, talk until the end of the input.

    url: of the server; `ostinato serve` on this machine unless given. Answers are made as those that were judged:
    greedily, by ``quality.decoding``. Raises InputError for a model that does not talk, for an address that is none,
    and where nothing listens on this machine; OstinatoError if the server does not answer.
    """
    model = model_at(root, spec, url)
    talk = Talk(model, SamplingParameters.of(spec.quality.decoding), system)
    if question is not None:
        talk.ask(question, sys.stdout)
        return
    for line in lines(sys.stdin):
        try:
            talk.ask(line, sys.stdout)
        except OstinatoError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)


def model_at(root: Path, spec: ModelSpec, url: str | None) -> ChatModel:
    """The served model. Raises InputError as :func:`chat` does."""
    if not spec.is_language_model:
        raise InputError(
            f"{spec.name} answers rows, not questions (task: {spec.task}); ask it with: ostinato predict {spec.name} "
            "ROWS.csv"
        )
    path = runtime_of(spec, root).openai_path
    if url is not None:
        return ChatModel(openai_url(url, path), spec.name)
    if not somebody_listens(HERE):
        raise InputError(
            f"nothing listens on {HERE}; start it with: ostinato serve {spec.name}, or name an address with --url"
        )
    return ChatModel(openai_url(HERE, path), spec.name)


class Talk:
    """A conversation; it remembers what was said."""

    def __init__(self, model: ChatModel, sampling: SamplingParameters, system: str) -> None:
        self._model, self._sampling = model, sampling
        self._messages = [{"role": "system", "content": system}] if system else []

    def ask(self, question: str, out: TextIO) -> None:
        """Write the answer as it comes. Ctrl-C ends it; what was not answered to its end is not remembered."""
        asked = [*self._messages, {"role": "user", "content": question}]
        spoken: list[str] = []
        try:
            with closing(self._model.stream(asked, self._sampling)) as pieces:
                for piece in pieces:
                    spoken.append(piece)
                    out.write(printable(piece))
                    out.flush()
        except KeyboardInterrupt:
            return
        finally:
            out.write("\n")
            out.flush()
        self._messages = [*asked, {"role": "assistant", "content": "".join(spoken)}]


def lines(source: TextIO) -> Iterator[str]:
    """What is typed, line by line, without empty ones; Ctrl-D and Ctrl-C end it."""
    import contextlib

    interactive = source.isatty()
    if interactive:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (input() then edits and remembers lines)
        print("Ctrl-D ends, Ctrl-C ends an answer", file=sys.stderr)
    while True:
        try:
            line = input("> " if interactive else "")
        except (EOFError, KeyboardInterrupt):
            if interactive:
                print()
            return
        if line.strip():
            yield line


def printable(text: str) -> str:
    """Without the characters that steer a terminal."""
    return "".join(character for character in text if character in "\n\t" or character.isprintable())


def somebody_listens(url: str) -> bool:
    import socket
    from urllib.parse import urlsplit

    at = urlsplit(url)
    assert at.hostname and at.port
    try:
        socket.create_connection((at.hostname, at.port), timeout=2).close()
    except OSError:
        return False
    return True
