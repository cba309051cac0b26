"""The product's own source, parsed."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = ("pipelines", "components", "delivery", "training")
"""From the top down."""


@cache
def sources() -> dict[str, ast.Module]:
    """Syntax tree of every file of the product, by its path."""
    paths = sorted(path for floor in (*FLOORS, "app") for path in (ROOT / floor).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in paths}


def lines(file: str) -> int:
    return len((ROOT / file).read_text().splitlines())
