"""Health checks: the `health` methods of adapters, as tools that the host calls."""

from __future__ import annotations

from .._serve import aio
from ..adapter import ToolOptions
from . import collect
from .tool import Sources, Tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Unhealthy(RuntimeError):
    """The exception of a check that returned `False`."""


def checks(adapters: list[Any], taken: set[str]) -> list[Tool]:
    """Return a tool for each adapter whose class has a method `health`; its name is not `taken`."""
    sources = Sources()
    found: list[Tool] = []
    for adapter in adapters:
        own = getattr(type(adapter), "health", None)
        # A marked method is a tool like any other.
        if not callable(own) or collect.options_of(own) is not None:
            continue
        tool = Tool(adapter.health, ToolOptions(name="health"), None, sources)
        wants = tool.context or any(needed for _, _, needed, _ in tool.params)
        if wants or tool.kind != "call":
            _refuse(adapter, tool)
            continue
        tool.name = _name(adapter, taken)
        # The host calls it without arguments, even if the method has defaults.
        tool.params = []
        tool.function = _checked(tool, adapter)
        tool.health_check = True
        found.append(tool)
    return found


def _name(adapter: Any, taken: set[str]) -> str:
    cls = type(adapter).__name__.encode("ascii", "replace").decode().replace("?", "_")[:48]
    name, number = f"{cls}.health", 1
    while name in taken:
        number += 1
        name = f"{cls}.health-{number}"
    taken.add(name)
    return name


def _checked(tool: Tool, adapter: Any) -> Any:
    """Return a function without parameters that raises if the method of `tool` reports a fault."""
    method = tool.function

    def judge(result: object) -> None:
        if result is False:
            raise Unhealthy(f"`{type(adapter).__qualname__}.health` returned False")

    def check() -> None:
        result = method()
        judge(aio.run(result) if tool.awaits else result)

    async def check_async() -> None:
        judge(await method())

    function: Any = check_async if tool.is_async else check
    # Attribute in which the adapter of a tool is looked up.
    function.__self__ = adapter
    return function


def _refuse(adapter: Any, tool: Tool) -> None:
    import sys

    name = type(adapter).__qualname__
    why = "yields a stream" if tool.kind != "call" else "requires arguments"
    sys.stderr.write(
        f"snakepit: `{name}.health` ({tool.file}:{tool.line}) {why}, so it is not a "
        "health check; give it no parameters and let it return, or give it another name\n"
    )
