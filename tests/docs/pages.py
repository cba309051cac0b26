"""Pages of this repository, read as GitHub reads them: links and the anchors that a link may name."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_MARKDOWN = MarkdownIt("commonmark").enable("table")


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows or would add, as paths within the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [Path(line) for line in lines if (ROOT / line).is_file()]


def links(page: Path) -> list[str]:
    """Targets of the page's links and pictures, in order."""
    found = []
    for token in _inline(_MARKDOWN.parse(page.read_text(encoding="utf-8"))):
        target = token.attrGet("href" if token.type == "link_open" else "src")
        if token.type in ("link_open", "image"):
            found.append(str(target))
    return found


def anchors(page: Path) -> set[str]:
    """A heading in lower case, without punctuation, with hyphens for spaces; a repeated one gets a number."""
    tokens = _MARKDOWN.parse(page.read_text(encoding="utf-8"))
    seen: dict[str, int] = {}
    slugs = set()
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            text = "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
            seen[slug] = seen.get(slug, -1) + 1
            slugs.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
    return slugs


def code_blocks(page: Path) -> list[tuple[str, str]]:
    """Information line and content of each fenced block, in order."""
    tokens = _MARKDOWN.parse(page.read_text(encoding="utf-8"))
    return [(token.info.strip(), token.content) for token in tokens if token.type == "fence"]


def _inline(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or ()]
