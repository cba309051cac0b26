"""Imports go down only, and never round: those inside functions count like those at the top of a file."""

import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import grimp
import pytest
from house.allowed import ALLOWED, differences
from house.sources import FLOORS, ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


@pytest.fixture(scope="module", params=["at run time", "for types too"])
def graph(request: pytest.FixtureRequest) -> grimp.ImportGraph:
    """Every import of the product; what stands under ``if TYPE_CHECKING`` never runs, so it is a graph of its own."""
    return import_graph(type_checking=request.param == "for types too")


def import_graph(type_checking: bool) -> grimp.ImportGraph:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT), *sys.path])
        return grimp.build_graph(*FLOORS, "app", exclude_type_checking_imports=not type_checking, cache_dir=None)


def imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            yield module, imported


def ring(edges: Iterator[tuple[str, str]]) -> list[str]:
    """Modules that import each other in a circle, or nothing."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for module, imported in edges:
        sorter.add(module, imported)
    try:
        sorter.prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_import_goes_up(graph: grimp.ImportGraph) -> None:
    height = {floor: place for place, floor in enumerate(FLOORS)}
    upward = [
        f"{module} imports {imported}"
        for module, imported in imports(graph)
        if module.split(".")[0] != "app" and height[imported.split(".")[0]] < height[module.split(".")[0]]
    ]
    assert upward == []


def test_an_application_imports_nothing_of_the_floors(graph: grimp.ImportGraph) -> None:
    assert [
        pair for pair in imports(graph) if ("app" in pair[0].split(".")[0]) != ("app" in pair[1].split(".")[0])
    ] == []


def test_no_modules_import_each_other() -> None:
    assert ring(imports(import_graph(type_checking=False))) == []


def test_no_folders_import_each_other() -> None:
    """At every depth: what a folder holds is files and folders, and each of them stands above or below the others."""
    graph = import_graph(type_checking=False)
    rings = {}
    for package in sorted(module for module in graph.modules if graph.find_children(module)):
        found = ring(between_children(graph, package))
        if found:
            rings[package] = found
    assert differences(ALLOWED["folder_rings"], {package: sorted(set(names)) for package, names in rings.items()}) == []


def between_children(graph: grimp.ImportGraph, package: str) -> Iterator[tuple[str, str]]:
    depth = package.count(".") + 2

    def child(module: str) -> str:
        return ".".join(module.split(".")[:depth])

    for module, imported in imports(graph):
        inside = module.startswith(f"{package}.") and imported.startswith(f"{package}.")
        if inside and child(module) != child(imported):
            yield child(module), child(imported)


def test_no_contract_has_an_exception() -> None:
    kept: list[dict[str, Any]] = CONTRACTS["contracts"]
    assert {key for contract in kept for key in contract if "ignore" in key} == set()
    assert not any("ignore" in key or "exclude" in key for key in CONTRACTS)
    assert sorted(CONTRACTS["root_packages"]) == sorted([*FLOORS, "app"])


def test_every_folder_inside_a_floor_is_in_a_contract() -> None:
    layers = [layer for contract in CONTRACTS["contracts"] for layer in contract.get("layers", [])]
    ordered = {name.strip() for layer in layers for name in layer.split(":")}
    for floor in ("delivery", "components"):
        folders = {f"{floor}.{path.parent.name}" for path in (ROOT / floor).glob("*/__init__.py")}
        assert folders - ordered == set()
