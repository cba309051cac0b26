"""What the end of a step's log says of its failure.

The log is text of others: control codes are taken out, passwords in addresses too, and it is cut.
"""

import re
from dataclasses import dataclass

from delivery.addresses import redact
from training.errors import GateRefused, OstinatoError

REFUSAL = f"{GateRefused.__module__}.{GateRefused.__qualname__}"
"""How Python names a refusal where it prints an exception that nobody caught. That is a step's last word, and by this
name alone a refusal is told from a failure: Kubeflow's launcher ends with 1 whatever the step ended with."""
LONGEST = 1200
"""Characters of a reason."""
MOST_LINES = 20
_OWN = f"{OstinatoError.__module__}."
_TRACEBACK = "Traceback (most recent call last):"
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
_LAUNCHER = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]+:\d+\] (.*)")
"""A line of Kubeflow's own, by Go's klog: severity, time, thread, file and text."""
_EXIT = re.compile(r"exit status (\d+)|signal: killed")
_KILLED = "137"
"""128 and the number of the signal KILL."""


@dataclass(frozen=True)
class LastWords:
    """Why a step ended as it did. refused: checks failed."""

    message: str
    refused: bool = False


def last_words(log: str) -> LastWords:
    """The reason that the end of a log gives; one without any is told as that."""
    lines = plain(log).split("\n")
    launcher = [match for line in lines if (match := _LAUNCHER.match(line))]
    status = next((exit_ for match in reversed(launcher) if (exit_ := _EXIT.search(match[2]))), None)
    if status and status[1] in (_KILLED, None):
        return LastWords(
            "it was killed (137), as a container is that needs more memory than it may have: give it more in "
            "spec.yaml, in training.resources.memory for train, else in steps.STEP.resources.memory"
        )
    exception = _exception(lines)
    if exception:
        name, _, text = exception.partition(": ")
        return LastWords(_cut(text if name.startswith(_OWN) else exception), refused=name == REFUSAL)
    own = [line for line in lines if line.strip() and not _LAUNCHER.match(line)]
    last = f"; its last line is: {own[-1].strip()}" if own and own[-1].strip() != "}" else ""
    errors = [match[2] for match in launcher if match[1] in "EF"]
    ended = errors[-1] if errors else "its log ends without a reason, as of a pod that was killed from outside"
    return LastWords(_cut(f"{ended}{last}"))


def plain(text: str) -> str:
    """Without what a terminal would obey."""
    text = _ESCAPE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return redact("".join(character for character in text if character in "\n\t" or character.isprintable()))


def _exception(lines: list[str]) -> str:
    """The last exception that nobody caught, with all lines of its message; "" without one."""
    starts = [number for number, line in enumerate(lines) if line == _TRACEBACK]
    if not starts:
        return ""
    rest = lines[starts[-1] + 1 :]
    frames = next((number for number, line in enumerate(rest) if line and not line[0].isspace()), len(rest))
    message = rest[frames:]
    end = next((number for number, line in enumerate(message) if _LAUNCHER.match(line)), len(message))
    return "\n".join(message[: min(end, MOST_LINES)]).strip()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
