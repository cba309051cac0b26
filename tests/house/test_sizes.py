"""Files and functions that one reads at a sitting."""

import ast
from statistics import median, quantiles

from house.sources import lines, sources


def test_a_file_has_at_most_400_lines_and_most_have_80_to_200() -> None:
    sizes = {file: lines(file) for file in sources() if not file.endswith("/__init__.py")}
    assert {file: size for file, size in sizes.items() if size > 400} == {}
    assert 80 <= median(sizes.values()) <= 200


def test_nine_of_ten_functions_have_at_most_25_lines() -> None:
    functions = [
        node
        for tree in sources().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert quantiles([(node.end_lineno or 0) - node.lineno + 1 for node in functions], n=10)[-1] <= 25
