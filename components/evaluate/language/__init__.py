"""Evaluate for ``task: generation``: everyone answers the same questions, and what they say is judged."""
