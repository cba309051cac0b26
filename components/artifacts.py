"""What the artifacts say of themselves in the UIs of Kubeflow and Vertex AI: facts as metadata, never a secret."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.addresses import redact

if TYPE_CHECKING:
    from delivery.documents.data_card import DataCard

Facts = dict[str, Any]


def describe(artifact: Any, facts: Facts) -> None:
    """Give a KFP artifact metadata: every fact that is known, addresses without user and password.

    Numbers are finite: the UIs read JSON, which has no others.
    """
    artifact.metadata.update({name: clean for name, fact in facts.items() if (clean := _clean(fact)) not in (None, "")})


def leave(artifact: Any, facts: Facts) -> None:
    """As :func:`describe`, with the same facts as a JSON file: an artifact without one is never cached, nor shown."""
    describe(artifact, facts)
    Path(artifact.path).write_text(json.dumps(artifact.metadata, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def data_facts(card: "DataCard") -> Facts:
    """Of a data card."""
    return {
        "fingerprint": card.fingerprint,
        "rows": card.train.rows + card.test.rows,
        "train_rows": card.train.rows,
        "test_rows": card.test.rows,
        "refused_rows": card.refused,
        "split": card.split,
        "source": card.source.partition("?")[0],
        "snapshot": card.snapshot,
        "as_of": card.as_of,
        "time_from": card.train.time_from and card.train.time_from.isoformat(),
        "time_to": card.test.time_to and card.test.time_to.isoformat(),
    }


def _clean(fact: Any) -> Any:
    if isinstance(fact, float) and not math.isfinite(fact):
        return None
    return redact(fact) if isinstance(fact, str) else fact
