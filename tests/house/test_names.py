"""One name, one meaning: no pronouns, no class twice, no file name three times."""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator

from house.allowed import ALLOWED, differences
from house.sources import sources

PRONOUNS = {"one", "found", "here", "there", "said", "told", "wanted", "done", "rival"}
OFTEN = {"__init__.py", "component.py", "steps.py"}
"""File names that mean the same in every folder."""


def test_no_name_is_a_pronoun() -> None:
    pronouns = {file: sorted(PRONOUNS & set(defined(tree))) for file, tree in sources().items()}
    assert differences(ALLOWED["pronouns"], {file: names for file, names in pronouns.items() if names}) == []


def defined(tree: ast.Module) -> Iterator[str]:
    """Variables, parameters, functions, classes and attributes that the file makes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.ExceptHandler(name=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def test_no_class_name_stands_for_two_classes() -> None:
    files = defaultdict(list)
    for file, tree in sources().items():
        if file.startswith(("delivery/", "components/", "pipelines/")):
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    files[node.name].append(file)
    assert differences(ALLOWED["classes"], {name: at for name, at in files.items() if len(at) > 1}) == []


def test_no_file_name_is_used_three_times() -> None:
    counted = Counter(file.rpartition("/")[2] for file in sources() if not file.startswith("app/"))
    often = {name: times for name, times in counted.items() if times > 2 and name not in OFTEN}
    assert differences(ALLOWED["files"], often) == []
