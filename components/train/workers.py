"""Several machines that train together: how each of them learns its part, and starts its processes by torchrun.

Kubeflow's Trainer sets what torchrun reads by itself (`PET_…`). Vertex AI describes the cluster in `CLUSTER_SPEC`
(cloud.google.com/vertex-ai/docs/training/distributed-training), which is turned into torchrun's arguments here.
"""

import json
from collections.abc import Mapping

from training.errors import OstinatoError

PORT = 29500
"""torchrun's own, where the cluster names none."""


def is_worker(environ: Mapping[str, str]) -> bool:
    """Whether this process was started by torchrun."""
    return "LOCAL_RANK" in environ and "RANK" in environ


def is_first(environ: Mapping[str, str]) -> bool:
    """Whether this process is the one that keeps what was trained; a process alone is."""
    return not is_worker(environ) or environ["RANK"] == "0"


def torchrun_arguments(environ: Mapping[str, str], processes: int) -> list[str]:
    """Arguments for torchrun before the module's: this machine's place among ``CLUSTER_SPEC``'s, [] for one process.

    processes: of each machine. Raises OstinatoError for a CLUSTER_SPEC that can't be read.
    """
    given = environ.get("CLUSTER_SPEC", "")
    machines, place, address = _cluster(given) if given else (1, 0, "")
    if machines == 1:
        return ["--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    host, _, port = address.partition(":")
    return [
        f"--nnodes={machines}",
        f"--node-rank={place}",
        f"--nproc-per-node={processes}",
        f"--master-addr={host}",
        f"--master-port={port or PORT}",
    ]


def _cluster(text: str) -> tuple[int, int, str]:
    """Number of machines, this one's place among them, and the first one's address; pools 0 and 1 train."""
    try:
        described = json.loads(text)
        first, others = (described["cluster"].get(f"workerpool{pool}", []) for pool in (0, 1))
        task = described["task"]
        place = task["index"] + (len(first) if task["type"] == "workerpool1" else 0)
        return len(first) + len(others), place, first[0]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise OstinatoError(f"CLUSTER_SPEC can't be read ({error!r}): {text[:500]}") from error
