"""Who a commit is by: what git's own variables say, then the setting, then Ostinato."""

import re
from collections.abc import Mapping

from training.errors import InputError

AUTHOR = "OSTINATO_GIT_AUTHOR"
DEFAULT = "Ostinato <ostinato@localhost>"
_FORM = re.compile(r"([^<>\x00-\x1f]*[^<>\x00-\x20]) <([^<>\s@]+@[^<>\s@]+)>")


def check_author(text: str) -> str:
    """The author itself, "" for none. Raises InputError unless it is ``Name <email>``."""
    if text and not _FORM.fullmatch(text):
        raise InputError(f"git_author is {text!r}; give `Name <email>`, such as `{DEFAULT}`")
    return text


def identity(environment: Mapping[str, str]) -> dict[str, str]:
    """git's four variables for author and committer. Raises InputError for an author of another form."""
    match = _FORM.fullmatch(check_author(environment.get(AUTHOR, "")) or DEFAULT)
    assert match
    variables = {}
    for name, value in (("NAME", match[1]), ("EMAIL", match[2])):
        author = variables[f"GIT_AUTHOR_{name}"] = environment.get(f"GIT_AUTHOR_{name}") or value
        variables[f"GIT_COMMITTER_{name}"] = environment.get(f"GIT_COMMITTER_{name}") or author
    return variables
