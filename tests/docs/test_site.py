"""The site: built without a warning, read and searched without a network."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.pages import ROOT, tracked

LOADED = re.compile(
    r"<(?:script|img|iframe)\b[^>]*\bsrc=[\"']?(https?:[^\"' >]+)|<link\b[^>]*\bhref=[\"']?(https?:[^\"' >]+)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_is_there_and_found_by_the_search(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    searched = {entry["location"].partition("#")[0] for entry in index["docs"]}
    pages = {str(page.relative_to("docs").with_suffix(".html")) for page in tracked("docs/*.md")}
    assert pages <= searched
    assert all((site / page).is_file() for page in pages)


def test_nothing_of_another_server_is_loaded(site: Path) -> None:
    others = {page.name: found for page in site.rglob("*.html") if (found := LOADED.findall(page.read_text()))}
    assert others == {}
    style = "".join(sheet.read_text() for sheet in site.rglob("*.css"))
    assert not re.search(r"url\([\"']?https?:|@import", style)
