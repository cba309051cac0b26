"""Text of unknown origin as Markdown that says only itself: no markup, no HTML, no link, nobody is called.

Forges look for `@name`, `#123`, `!123`, `~label` and addresses in the rendered text, so a backslash does not stop
them; a zero-width space does. GitLab takes a line that begins with `/` for a command, so a text never begins a line.
"""

import re
from collections.abc import Iterable, Sequence

GAP = "&#8203;"
"""Zero-width space."""
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()|~])")
_REFERENCE = re.compile(r"([@#!%$^:]|\\~|&amp;|(?<=\bG[HL])-)(?=[\w\"']|\\[_*\[~`])")
_ADDRESS = re.compile(r"(?i)(://|\bwww\.)")
_BLOCK = re.compile(r"^(?=[-+=>#]|\d+[.)])")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
"""Control signs, and those that turn or hide what stands beside them."""


def text(raw: str, longest: int = 400) -> str:
    """One line of Markdown that shows the text, cut after ``longest`` characters."""
    plain = _plain(raw, longest)
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = _PUNCTUATION.sub(r"\\\1", plain)
    plain = _ADDRESS.sub(lambda match: GAP.join((match[0][:-1], match[0][-1])), plain)
    return _BLOCK.sub(GAP, _REFERENCE.sub(rf"\1{GAP}", plain))


def code(raw: str, longest: int = 400) -> str:
    """The text as code, which no forge looks into."""
    plain = _plain(raw, longest)
    if not plain:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    # A table's cell ends at a bar even inside of code, unless a backslash is before it.
    return f"{fence}{pad}{plain}{pad}{fence}".replace("|", "\\|")


def link(shown: str, url: str) -> str:
    """A link; ``url`` is ours, not of the data."""
    safe = re.sub(r"[<>\s]", "", url)
    return f"[{text(shown)}](<{safe}>)"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], most: int, right: int = 0) -> list[str]:
    """Lines of a table of at most ``most`` rows, with a note of how many are left out.

    The cells are Markdown. right: how many of the last columns are numbers.
    """
    kept = list(rows)
    marks = ["---"] * (len(head) - right) + ["---:"] * right
    lines = [head, marks, *kept[:most]]
    left = [f"\n{len(kept) - most} more are in the report."] if len(kept) > most else []
    return [f"| {' | '.join(cells)} |" for cells in lines] + left


def _plain(raw: str, longest: int) -> str:
    shown = re.sub(r"\s+", " ", _HIDDEN.sub(" ", raw)).strip()
    return shown if len(shown) <= longest else shown[: longest - 1].rstrip() + "…"
