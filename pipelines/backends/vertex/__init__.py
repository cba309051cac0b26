"""Vertex AI Pipelines: runs, schedules, and the package that it takes."""

from pipelines.backends.vertex.engine import VertexEngine

__all__ = ["VertexEngine"]
