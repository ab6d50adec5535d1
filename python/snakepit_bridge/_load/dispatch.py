"""Adapters written for the original library: their own dispatch, and their way to the context.

Such an adapter has `execute_tool(tool_name, arguments, context)` and may override
`set_session_context`. It imports its base class from `snakepit_bridge.base_adapter`.
"""

from __future__ import annotations

from .._original.chunks import items
from .._serve import aio
from ..adapter import ToolOptions
from .tool import Sources, Tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: Tools that call an adapter's own dispatch, for one result and for a stream.
CALL, STREAM = "execute_tool", "execute_tool_stream"


def catch_all(adapter: Any, taken: set[str], sources: Sources) -> list[Tool]:
    """Return the tools that pass any name to the adapter's `execute_tool`; none without it."""
    dispatch = getattr(adapter, "execute_tool", None)
    if not callable(dispatch) or hasattr(dispatch, "__snakepit_tool__"):
        return []

    def execute_tool(
        tool_name: str, arguments: dict[str, Any] | None = None, ctx: Any = None
    ) -> Any:
        return dispatch(tool_name=tool_name, arguments=arguments or {}, context=ctx)

    def execute_tool_stream(
        tool_name: str, arguments: dict[str, Any] | None = None, ctx: Any = None
    ) -> Iterator[Any]:
        result = dispatch(tool_name=tool_name, arguments=arguments or {}, context=ctx)
        yield from items(aio.run(result))

    out: list[Tool] = []
    place = sources.place(getattr(dispatch, "__func__", dispatch))
    for name, function in ((CALL, execute_tool), (STREAM, execute_tool_stream)):
        if name in taken:
            continue
        options = ToolOptions(name, f"Any tool of `{type(adapter).__qualname__}` by its name.")
        tool = Tool(function, options, owner(adapter), sources)
        tool.file, tool.line = place
        tool.catch_all = True
        # Whether the result must be awaited is known only once it exists.
        tool.is_async = tool.awaits = name == CALL
        out.append(tool)
    return out


class Owner:
    """A stand-in for an adapter: setting its context calls `set_session_context`."""

    __slots__ = ("_adapter",)

    def __init__(self, adapter: Any) -> None:
        """Keep the adapter."""
        self._adapter = adapter

    @property
    def session_context(self) -> Any:
        """The adapter's current context."""
        return getattr(self._adapter, "session_context", None)

    @session_context.setter
    def session_context(self, context: Any) -> None:
        self._adapter.session_context = context
        if context is not None:
            self._adapter.set_session_context(context)


def owner(adapter: Any) -> Any:
    """Return the object whose `session_context` the runtime sets for each call."""
    method = getattr(type(adapter), "set_session_context", None)
    if method is None or getattr(method, "__module__", "").startswith("snakepit_bridge.base_"):
        return adapter
    return Owner(adapter)
