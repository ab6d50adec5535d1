"""Adapters written for the original: their own dispatch, and how they take the context.

Such an adapter has `execute_tool(tool_name, arguments, context)` and may override
`set_session_context`. It imports its base class from `snakepit_bridge.base_adapter`.
"""

from . import _aio
from ._tool import Sources, Tool
from .adapter import ToolOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: The tools through which an adapter's own dispatch is reached, for one result and for a stream.
CALL, STREAM = "execute_tool", "execute_tool_stream"


def catch_all(adapter: "Any", taken: "set[str]", sources: Sources) -> list[Tool]:
    """The tools that hand any name to the adapter's `execute_tool`; none if it has none."""
    dispatch = getattr(adapter, "execute_tool", None)
    if not callable(dispatch) or hasattr(dispatch, "__snakepit_tool__"):
        return []

    def execute_tool(
        tool_name: str, arguments: "dict[str, Any] | None" = None, ctx: "Any" = None
    ) -> "Any":
        return dispatch(tool_name=tool_name, arguments=arguments or {}, context=ctx)

    def execute_tool_stream(
        tool_name: str, arguments: "dict[str, Any] | None" = None, ctx: "Any" = None
    ) -> "Iterator[Any]":
        result = dispatch(tool_name=tool_name, arguments=arguments or {}, context=ctx)
        yield from _items(_aio.run(result))

    out: list[Tool] = []
    place = sources.place(getattr(dispatch, "__func__", dispatch))
    for name, function in ((CALL, execute_tool), (STREAM, execute_tool_stream)):
        if name in taken:
            continue
        options = ToolOptions(name, f"Any tool of `{type(adapter).__qualname__}` by its name.")
        tool = Tool(function, options, owner(adapter), sources)
        tool.file, tool.line = place
        tool.catch_all = True
        # Whether the result has to be awaited is known only when it is there.
        tool.is_async = tool.awaits = name == CALL
        out.append(tool)
    return out


def _items(result: "Any") -> "Iterator[Any]":
    """The chunks of a streaming result; what is no iterator is one chunk."""
    if hasattr(result, "__anext__") or hasattr(result, "__aiter__"):
        source = result.__aiter__()
        try:
            while True:
                try:
                    item = _aio.anext(source)
                except StopAsyncIteration:
                    return
                yield _chunk(item)
        finally:
            _aio.aclose(source)
    elif hasattr(result, "__next__") or isinstance(result, (list, tuple)):
        for item in result:
            yield _chunk(item)
    else:
        yield _chunk(result)


def _chunk(item: "Any") -> "Any":
    """The data of the original's `StreamChunk(data, is_final)`; other items as they are."""
    return item.data if type(item).__name__ == "StreamChunk" and hasattr(item, "data") else item


class Owner:
    """Stands for an adapter that overrides `set_session_context`: setting the context calls it."""

    __slots__ = ("_adapter",)

    def __init__(self, adapter: "Any") -> None:
        """The adapter."""
        self._adapter = adapter

    @property
    def session_context(self) -> "Any":
        """What the adapter holds."""
        return getattr(self._adapter, "session_context", None)

    @session_context.setter
    def session_context(self, context: "Any") -> None:
        self._adapter.session_context = context
        if context is not None:
            self._adapter.set_session_context(context)


def owner(adapter: "Any") -> "Any":
    """The object whose `session_context` the runtime sets for each call."""
    method = getattr(type(adapter), "set_session_context", None)
    if method is None or getattr(method, "__module__", "").startswith("snakepit_bridge.base_"):
        return adapter
    return Owner(adapter)
