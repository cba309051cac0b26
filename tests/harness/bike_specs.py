"""The bike model's spec with other sections."""

from pathlib import Path
from typing import Any

import yaml

from training.spec import ModelSpec, parse_spec

SPEC = Path(__file__).parents[2] / "training" / "demand_forecaster" / "spec.yaml"
CODE = dict.fromkeys(("preprocess", "train", "evaluate"), "sha256:0")
"""Digests of code, for packages that nobody runs."""


def spec_with(**sections: Any) -> ModelSpec:
    """Raises InputError."""
    return parse_spec(yaml.safe_dump(yaml.safe_load(SPEC.read_text(encoding="utf-8")) | sections), "spec.yaml")
