"""The commands of `ostinato`, each a thin face over a function that can be called without it."""
