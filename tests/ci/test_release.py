"""A release: the tag is the project's version, and the changelog says what is in it and since when."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-12-01

### Added
- A thing.

## [1.1.0] - 2026-11-01
- Old.
"""


def notes(folder: Path, tag: str) -> tuple[int, str, str]:
    command = [sys.executable, str(ROOT / "ci" / "release_notes.py"), tag]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_the_notes_are_the_section_of_the_version_alone(project: Path) -> None:
    assert notes(project, "v1.2.0") == (0, "### Added\n- A thing.\n", "")


def test_a_tag_of_another_version_is_refused(project: Path) -> None:
    code, text, message = notes(project, "v1.3.0")
    assert (code, text) == (2, "") and "pyproject.toml has version 1.2.0" in message


@pytest.mark.parametrize("title", ["## [Unreleased]", "## [1.2.0]", "## 1.2.0 - 2026-12-01"])
def test_a_version_without_a_dated_section_is_refused(project: Path, title: str) -> None:
    (project / "CHANGELOG.md").write_text(CHANGELOG.replace("## [1.2.0] - 2026-12-01", title))
    code, _, message = notes(project, "v1.2.0")
    assert code == 2 and "## [1.2.0] - YYYY-MM-DD" in message


def test_our_own_version_can_be_released() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    code, text, message = notes(ROOT, f"v{version}")
    assert (code, message) == (0, "") and text
