"""Every link of a page leads somewhere, and so does every page that code or text names."""

import re
from pathlib import Path

import pytest
from docs.pages import ROOT, anchors, links, tracked

PAGES = tracked("*.md")
NAMED = re.compile(r"(?<![\w./-])docs/[\w./-]+\.(?:md|json|png|svg|py)\b")

SOURCE = re.compile(
    r"`((?:app|benchmarks|ci|components|delivery|infra|manifests|pipelines|tests|training)/[\w./-]+)[`:]"
)
MADE_BY_THE_READER = {"training/flat_rent/"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    dead = []
    for link in links(ROOT / page):
        path, _, anchor = link.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        target = (ROOT / page.parent / path).resolve() if path else ROOT / page
        inside = target.is_relative_to(ROOT) and target.exists()
        if not inside or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_every_page_that_a_file_names_is_there() -> None:
    lost = []
    for path in tracked():
        if path.parts[:2] == ("tests", "ci"):  # edits of pages that need not exist
            continue
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lost += [f"{path}: {name}" for name in NAMED.findall(text) if not (ROOT / name).is_file()]
    assert lost == []


def test_every_path_of_the_source_that_a_page_names_is_there() -> None:
    gone = {
        f"{page}: {path}"
        for page in PAGES
        for path in SOURCE.findall((ROOT / page).read_text(encoding="utf-8"))
        if path not in MADE_BY_THE_READER and not (ROOT / path).exists()
    }
    assert gone == set()
