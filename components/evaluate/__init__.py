"""Evaluate: candidate and champion predict the identical rows, and a verdict is decided."""
