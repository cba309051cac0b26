"""The import closure of Python files: each file of the project or the workspace that running one of them can load.

Imports inside functions count, those for type checkers do not. A text that is the full name of a module counts as an
import of it, since a process is started by such a name (``python -m``). So do the data files beside a module, such as
templates, and the modules that these name.
"""

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import resolve_name
from pathlib import Path

import components
from pipelines.backends.local.record import write_text

FLOORS = ("components", "delivery", "pipelines", "training")
PROJECT = Path(components.__file__).parents[1]
"""The folder with the project's own packages: the checkout, or site-packages."""
_NAME = re.compile(r"[a-zA-Z_]\w*(?:\.[a-zA-Z_]\w*)+")
_OF_PROJECT = re.compile(rf"\b(?:{'|'.join(FLOORS)})(?:\.\w+)+")


def decides_nothing(name: str) -> bool:
    """Whether a file or folder of this name is hidden, made by a program, or for people to read."""
    return name.startswith((".", "__pycache__")) or name.endswith(".pyc") or name == "README.md"


def files_below(folder: Path) -> Iterator[Path]:
    """Every file of a folder, links to folders followed, but those of which :func:`decides_nothing` is true."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if not decides_nothing(name))
        names[:] = [] if real in seen else sorted(name for name in names if not decides_nothing(name))
        seen.add(real)
        yield from (Path(place, name) for name in names)


class Sources:
    """Files of the project and of a workspace, each read once. Paths are texts inside: a closure has thousands.

    root: the workspace; modules are looked for in it and in its ``src``, besides the project's own packages. memory: a
    folder where the imports of a file are kept by its content, since parsing takes milliseconds a file.
    """

    def __init__(self, root: Path, memory: Path | None = None) -> None:
        self._places = (f"{root}/src/", f"{root}/", f"{PROJECT}/")
        self._digests: dict[str, str] = {}
        self._loads: dict[str, list[str]] = {}
        self._modules: dict[str, str | None] = {}
        self._listings: dict[str, frozenset[str]] = {}
        parser = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
        self._memory = memory / f"imports-{parser}.json" if memory else None
        self._kept: dict[str, list[str]] = {}
        if self._memory and self._memory.is_file():
            self._kept = json.loads(self._memory.read_text(encoding="utf-8"))
        self._named: dict[str, list[str]] = {}
        entries = (entry for place in self._places[:2] for entry in self._entries(place.rstrip("/")))
        self._tops = {*FLOORS, *(entry.partition(".")[0] for entry in entries)}

    def closure(self, starts: Iterable[Path], without: Path | None = None) -> dict[str, str]:
        """Digests, by :meth:`name`, of the files and of all that they can load. without: a folder of which only code is
        followed: its data files are no data of a package."""
        reached: set[str] = set()
        waiting = [str(path) for path in starts]
        while waiting:
            path = waiting.pop()
            if path in reached or (without and not path.endswith(".py") and path.startswith(f"{without}/")):
                continue
            reached.add(path)
            if path not in self._loads:
                self._loads[path] = self._loaded_by(path)
            waiting += self._loads[path]
        return {self.name(path): self.digest(path) for path in reached}

    def name(self, path: Path | str) -> str:
        """Relative to the workspace or the project: equal wherever the two lie."""
        text = str(path)
        return text.removeprefix(next((place for place in self._places[1:] if text.startswith(place)), ""))

    def digest(self, path: Path | str) -> str:
        """Hex SHA-256 of a file's bytes."""
        text = str(path)
        if text not in self._digests:
            with open(text, "rb") as file:
                self._digests[text] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[text]

    def module(self, name: str) -> Path | None:
        """The file of a module or package by its full name; None for one of another project, and for what is none."""
        path = self._module(name)
        return Path(path) if path else None

    def keep(self) -> None:
        """Write down what was parsed, for the next time. Two processes may do so at once: the last one stays."""
        if self._memory and not self._named.keys() <= self._kept.keys():
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._memory, json.dumps(self._named))

    def _module(self, name: str) -> str | None:
        if name not in self._modules:
            # As Python finds them: the project's own packages where it lies, others in the workspace.
            places = reversed(self._places) if name.partition(".")[0] in FLOORS else self._places[:2]
            files = (self._file(place + name.replace(".", "/")) for place in places)
            self._modules[name] = next(filter(None, files), None)
        return self._modules[name]

    def _file(self, base: str) -> str | None:
        """Of a module, by its path without ending."""
        folder, last = os.path.split(base)
        if last in self._entries(folder) and "__init__.py" in self._entries(base):
            return f"{base}/__init__.py"
        return f"{base}.py" if f"{last}.py" in self._entries(folder) else None

    def _entries(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError:  # no folder: the name is one in a module
                self._listings[folder] = frozenset()
        return self._listings[folder]

    def _loaded_by(self, path: str) -> list[str]:
        names = set(self._imports(path))
        # Importing a.b.c runs a and a.b before it.
        names |= {name.rsplit(".", parts)[0] for name in names for parts in range(1, name.count(".") + 1)}
        modules = [module for name in names if (module := self._module(name))]
        return [*modules, *(self._data_beside(os.path.dirname(path)) if path.endswith(".py") else ())]

    def _imports(self, path: str) -> Iterator[str]:
        """Full names of what a file may import; some are names in a module and no modules."""
        digest = self.digest(path)
        if digest not in self._named:
            self._named[digest] = self._kept[digest] if digest in self._kept else sorted(set(_named_in(Path(path))))
        place = next((place for place in self._places if path.startswith(place)), "")
        package = os.path.dirname(path.removeprefix(place)).replace("/", ".")
        for name in self._named[digest]:
            if name.partition(".")[0] in self._tops or name.startswith("."):
                with suppress(ImportError):  # more dots than there are packages: whoever imports it is told
                    yield resolve_name(name, package)

    def _data_beside(self, folder: str) -> list[str]:
        """The data files of a folder with code, and of the folders in it that hold none."""
        if f"{folder}/" in self._places:
            return []
        data: list[str] = []
        for name in self._entries(folder):
            path = f"{folder}/{name}"
            if decides_nothing(name) or name.endswith(".py"):
                continue
            if os.path.isfile(path):
                data.append(path)
            elif next(Path(path).rglob("*.py"), None) is None:
                data += map(str, files_below(Path(path)))
        return data


def _named_in(path: Path) -> Iterator[str]:
    """Modules that a file names, relative ones with their dots. A file that is no Python names those of the project."""
    if path.suffix != ".py":
        yield from _OF_PROJECT.findall(path.read_bytes().decode(errors="ignore"))
        return
    try:
        waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    except (SyntaxError, ValueError):  # the step that imports it says so
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield start
            yield from (f"{start}.{alias.name}" if node.module else start + alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            yield node.value
