"""The worked examples of CONTRIBUTING.md: each is applied to a copy of the repository, and its commands are run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs.pages import ROOT, code_blocks, tracked

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^## (Add .*)$", TEXT, re.MULTILINE)
PARTS = ("pipelines", "components", "delivery", "training", "manifests", "docs/reference", "pyproject.toml", "*.lock")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for path in tracked(*PARTS):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    return folder


@pytest.mark.parametrize("title", EXAMPLES)
def test_a_worked_example_does_what_the_page_says(title: str, copy: Path, tmp_path: Path) -> None:
    page = tmp_path / "example.md"
    page.write_text(TEXT.split(f"## {title}\n")[1].split("\n## ")[0], encoding="utf-8")
    commands = 0
    for info, content in code_blocks(page):
        language, _, path = info.partition(" ")
        if language == "diff":
            apply(copy / path, content)
        elif language == "console":
            for command, *expected in (block.splitlines() for block in content.split("$ ")[1:]):
                output = run(command, copy)
                commands += 1
                assert [line for line in expected if line not in output] == [], output
        elif path:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_text(content, encoding="utf-8")
    assert commands


def apply(file: Path, diff: str) -> None:
    """Replace the lines of the example that are there by those that are to be there; they must be there once."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file.name} has this {text.count(before)} times:\n{before}"
    file.write_text(text.replace(before, after), encoding="utf-8")


def run(command: str, folder: Path) -> str:
    """What it prints. `ostinato` and `python` run the copy's code."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OSTINATO_")}
    environment |= {"PYTHONPATH": str(folder), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
