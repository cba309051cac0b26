"""Cases of evaluate's tests, and the artifacts that a backend would hand to the step."""

from harness.evaluated import cancer, diabetes, wine

__all__ = ["cancer", "diabetes", "wine"]
