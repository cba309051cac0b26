"""A folder of tests stands alone: it imports from itself and from `harness`, so that it can be read and moved alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

from house.sources import ROOT

TESTS = ROOT / "tests"


def test_a_test_imports_from_its_own_folder_and_from_the_harness_only() -> None:
    foreign = {}
    for file in sorted(TESTS.rglob("*.py")):
        folder = file.relative_to(TESTS).parts[0]
        others = {module for module in modules_of_tests(file) if module.split(".")[0] not in (folder, "harness")}
        if others:
            foreign[file.relative_to(TESTS).as_posix()] = sorted(others)
    assert foreign == {}


def modules_of_tests(file: Path) -> Iterator[str]:
    """The modules of tests that the file imports; a product's package may have the name of a folder of tests."""
    for node in ast.walk(ast.parse(file.read_text())):
        for module in imported(node):
            name = module.removeprefix("tests.")
            if (TESTS / name.replace(".", "/")).with_suffix(".py").is_file():
                yield name


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
