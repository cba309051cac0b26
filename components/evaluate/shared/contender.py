from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.errors import OstinatoError


@dataclass(frozen=True)
class Entrant:
    """A model folder that stands for candidate or champion."""

    role: Literal["candidate", "champion"]
    version: str
    """In the registry; empty for a candidate."""
    digest: str
    folder: Path

    @property
    def called(self) -> str:
        return f"the champion (version {self.version})" if self.role == "champion" else "the candidate"

    @property
    def fix(self) -> str:
        if self.role == "champion":
            return (
                "A champion that can't be judged is never beaten by default: bring the column or the package back, "
                "or make another version live with `ostinato promote` or `ostinato rollback`"
            )
        return "Train it again with this environment and data"


def has_champion(folder: Path, version: str) -> bool:
    """Whether the champion step found one. Raises OstinatoError if folder and version disagree on that."""
    has_files = folder.is_dir() and any(folder.iterdir())
    if has_files != bool(version):
        content = f"{folder} holds {'a model' if has_files else 'none'}"
        raise OstinatoError(f"champion_version is {version!r}, but {content}: run the champion step again")
    return has_files
