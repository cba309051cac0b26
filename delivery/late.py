"""A row of a table names what it needs without importing it: clients and servers take seconds to import."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def late(module: str, name: str) -> Callable[..., Any]:
    """The function or class of a module that is imported when it is called."""
    return lambda *arguments: getattr(import_module(module), name)(*arguments)
