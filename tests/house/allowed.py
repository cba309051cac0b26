"""What does not hold yet, file by file. An entry that is no longer needed fails its test, so the lists only shrink."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ALLOWED: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("allowed.json").read_text())


def differences(allowed: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """What breaks the rule without being allowed, and what is allowed without breaking it."""
    return [
        f"{key}: {actual.get(key, 'holds, so take it off the list')}, allowed {allowed.get(key, 'nothing')}"
        for key in sorted({*allowed, *actual})
        if allowed.get(key) != actual.get(key)
    ]
