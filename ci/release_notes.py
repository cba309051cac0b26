"""What CHANGELOG.md says of a version: ``python3 ci/release_notes.py v0.1.0``.

Exit code 2 if the tag is not ``v`` and the version of pyproject.toml, or the version has no section with a date. Needs
nothing but Python 3.11.
"""

import re
import sys
import tomllib
from pathlib import Path


def release_notes(tag: str, folder: Path) -> str:
    """Markdown of the version's section. Raises ValueError with one sentence if it can't be released."""
    version = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, but pyproject.toml has version {version}: tag v{version}")
    sections = re.split(r"^## ", (folder / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for section in sections[1:]:
        title, _, text = section.partition("\n")
        if re.fullmatch(rf"\[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}", title) and text.strip():
            return text.strip() + "\n"
    raise ValueError(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD' with text")


if __name__ == "__main__":
    try:
        print(release_notes(sys.argv[1], Path.cwd()), end="")
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
