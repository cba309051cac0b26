"""docs/reference/guarantees.md names tests and invariants that exist, and leaves none of them out."""

import ast
import inspect
import re
from pathlib import Path

from exactly_once import invariants

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "guarantees.md").read_text()
NAMED = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE))


def named_tests(file: str) -> set[str]:
    found = ast.parse((ROOT / file).read_text()).body
    return {one.name for one in found if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}


def test_every_test_that_the_page_names_exists() -> None:
    assert len(NAMED) == PAGE.count("::") - PAGE.count("`conformance/")  # those: tests/docs/test_conformance.py
    assert sorted(f"{file}::{name}" for file, name in NAMED if name not in named_tests(file)) == []


def test_the_page_names_every_kill_race_and_storm() -> None:
    files = ("test_kills.py", "test_races.py", "test_bad_weather.py", "test_late.py")
    own = {(file, name) for file in (f"tests/exactly_once/{one}" for one in files) for name in named_tests(file)}
    about_tests = ("tests/exactly_once/test_kills.py", "test_every_effect_has_its_place_in_the_order_of_kills")
    assert own - NAMED == {about_tests}


def test_the_page_explains_every_invariant() -> None:
    functions = {
        name
        for name, one in inspect.getmembers(invariants, inspect.isfunction)
        if one.__module__ == invariants.__name__
    }
    public = {name for name in functions if not name.startswith("_")} - {"all_hold"}
    assert public == set(re.findall(r"\(`(\w+)`\)", PAGE))
