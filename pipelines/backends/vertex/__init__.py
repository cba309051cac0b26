"""Vertex AI Pipelines: runs, schedules, and the package that it takes."""
