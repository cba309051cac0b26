"""Named points between the effects of a release, where a test can kill the process.

``OSTINATO_CRASH_AT=<effect>`` sends SIGKILL to the process right after the named effect, as a machine that
loses power would. It is a fault-injection facility for tests; unset, a point costs one look-up.
"""

import os
import signal

from training.errors import InputError, did_you_mean

CRASH_AT = "OSTINATO_CRASH_AT"

EFFECTS = (
    "store created",
    "experiment created",
    "run created",
    "run described",
    "run artifacts logged",
    "run finished",
    "model created",
    "model file uploaded",
    "model uploaded",
    "model ready",
    "statement written",
    "signature written",
    "registered model created",
    "prompt created",
    "prompt version created",
    "version created",
    "leftovers deleted",
    "candidate set",
    "prompt candidate set",
    "image layer pushed",
    "image pushed",
    "commit written",
    "commit pushed",
    "pull request opened",
    "pull request updated",
    "older proposal superseded",
    "champion set",
    "previous set",
    "environment champion set",
    "prompt champion set",
    "prompt previous set",
    "rejection set",
    "rejection removed",
)
"""Every effect of register, deploy and reconcile, in the order in which they happen."""
OF_WATCH = ("window recorded", "window finished", "decision recorded", "training asked for", "answer recorded")
"""Those of the drift watch."""


def effect(name: str) -> None:
    """Say that the effect ``name`` has just happened. Raises InputError if the variable names an unknown one."""
    known = (*EFFECTS, *OF_WATCH)
    assert name in known, name
    crash_at = os.environ.get(CRASH_AT)
    if not crash_at:
        return
    if crash_at not in known:
        raise InputError(f"{CRASH_AT} is {crash_at!r}, which is not an effect. {did_you_mean(crash_at, known)}")
    if crash_at == name:
        os.kill(os.getpid(), signal.SIGKILL)
