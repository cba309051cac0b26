"""The plain script with the start and exit tricks of the engine: no garbage collection, no interpreter teardown."""

import gc

gc.disable()

import os  # noqa: E402
import sys  # noqa: E402

from plain import main  # noqa: E402

main()
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
