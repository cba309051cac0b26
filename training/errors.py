"""The errors a user can meet. Each names the field, the value and the fix, and carries its exit code."""

import difflib
from collections.abc import Iterable


class OstinatoError(Exception):
    """A run that failed for a reason that the message explains."""

    exit_code = 1


class InputError(OstinatoError, ValueError):
    """Wrong input or configuration: the user can mend it, and nothing was changed."""

    exit_code = 2


class GateRefused(OstinatoError):
    """Checks failed: the candidate does not go live. The evidence is in the verdict."""

    exit_code = 3


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """A sentence to append to an error about an unknown ``value``; names what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "None is known."
