"""Cases of evaluate's tests, and the artifacts that an engine would hand to the step."""

from evaluate.conftest import cancer, diabetes, wine

__all__ = ["cancer", "diabetes", "wine"]
