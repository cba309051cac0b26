"""Who is judged: the candidate, and the champion where there is one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.evaluate.shared.arguments import EvaluateInputs
from training.errors import OstinatoError


@dataclass(frozen=True)
class Entrant:
    """A model folder that stands for candidate or champion."""

    role: Literal["candidate", "champion"]
    version: str
    """In the registry; empty for a candidate."""
    folder: Path
    digest: str = ""
    """Once the folder was opened."""

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


def entrants(inputs: EvaluateInputs) -> list[Entrant]:
    """Candidate and champion. Raises OstinatoError if the champion's folder and its version disagree on there being
    one."""
    folder, version = inputs.champion, inputs.champion_version
    has_files = folder.is_dir() and any(folder.iterdir())
    if has_files != bool(version):
        content = f"{folder} holds {'a model' if has_files else 'none'}"
        raise OstinatoError(f"champion_version is {version!r}, but {content}: run the champion step again")
    candidate = Entrant("candidate", "", inputs.candidate)
    return [candidate, Entrant("champion", version, folder)] if has_files else [candidate]
