"""The cases that are judged."""

from harness.evaluated import cancer, diabetes, wine

__all__ = ["cancer", "diabetes", "wine"]
