from pathlib import Path

import numpy as np

from delivery.documents.data_card import DataCard
from delivery.stores.sources import file_sha256
from training.errors import InputError, OstinatoError


def check_rows(path: Path, card: DataCard) -> None:
    """Raises OstinatoError unless the file holds exactly the rows that the data card describes."""
    digest = file_sha256(path)
    expected = card.test.sha256.removeprefix("sha256:")
    if digest != expected:
        raise OstinatoError(
            f"{path} has sha256 {digest}, its data card says {expected}: the test rows changed after preprocess; "
            "run preprocess again"
        )
    if card.test.rows == 0:
        raise InputError(
            "the test side has no rows; data.split leaves nothing to judge on: make data.split.test larger"
        )


def sample_positions(rows: int, most: int) -> np.ndarray:
    """Positions (k,) of a seeded sample without repeats, ascending; all rows if they are no more than ``most``."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, size=most, replace=False, shuffle=False))
