"""The Dockerfile as a list of instructions, for tests that need no builder."""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """What comes after one FROM."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.instructions if word == keyword]


@dataclass
class Dockerfile:
    arguments: dict[str, str]
    """Of before the first FROM, with their defaults."""
    stages: list[Stage]

    def chain(self, name: str) -> list[Stage]:
        """The stage and those that it is built on, the lowest first."""
        named = {stage.name: stage for stage in self.stages}
        found = [named[name]]
        while found[0].base in named:
            found.insert(0, named[found[0].base])
        return found


def parse(text: str) -> Dockerfile:
    """Comments dropped, continued lines joined, as builders do."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = Dockerfile({}, [])
    for line in filter(None, (line.strip() for line in joined.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            base, _, name = rest.partition(" AS ")
            found.stages.append(Stage(base, name))
        elif found.stages:
            found.stages[-1].instructions.append((keyword, rest))
        else:
            name, _, default = rest.partition("=")
            found.arguments[name] = default
    return found


def locked(path: Path) -> dict[str, set[str]]:
    """Versions of each package in a lock; more than one where they depend on the Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9][-a-z0-9_.]*)(?:\[[^]]*])?==([^\s;\\]+)", path.read_text(), re.M):
        found.setdefault(name, set()).add(version)
    return found
