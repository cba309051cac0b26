"""How healthy a service of KServe is, by the very script that Argo CD runs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

SCRIPT = Path(__file__).with_name("health.lua")


@dataclass(frozen=True)
class Health:
    status: Literal["Healthy", "Progressing", "Degraded", "Suspended", "Missing"]
    """Argo CD's own words."""
    message: str


def health_of(service: dict[str, Any], now: datetime | None = None) -> Health:
    """Of an InferenceService or LLMInferenceService as the API server gives it. now: the present unless given.

    The script gets what Argo CD gives it (argo-cd 3.6.0, util/lua/lua.go): Lua 5.1 with base and table, and of os the
    time, by require.
    """
    from lupa import lua51

    lua: Any = lua51.LuaRuntime(unpack_returned_tuples=True)  # its annotations lack what it has
    clock = lua.table(time=lambda: int((now or datetime.now(UTC)).timestamp()))
    lua.execute('getmetatable("").__index = nil')
    lua.execute("string, math, io, os, debug, coroutine, package, python = nil")
    lua.globals().require = {"os": clock}.__getitem__
    lua.globals().obj = lua.table_from(service, recursive=True)
    result = lua.execute(SCRIPT.read_text(encoding="utf-8"))
    return Health(result.status, result.message)
