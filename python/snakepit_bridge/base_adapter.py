"""The original's module of this name: the names that adapters written for it import.

New adapters import `BaseAdapter` and `tool` from `snakepit_bridge`. One difference remains: here
one instance lives in each worker and serves all calls; the original created one for each call.
"""

from __future__ import annotations

from . import adapter as _adapter
from ._load.tool import Sources, Tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._session.context import SessionContext

__all__ = ["BaseAdapter", "ToolMetadata", "tool"]


class _Fields:
    """The fields of a dataclass, for code that imports `dataclasses`; workers need not."""

    def __get__(self, _instance: object, owner: type) -> dict[str, Any]:
        from dataclasses import field, make_dataclass

        fields = [("description", str, ""), ("supports_streaming", bool, False)]
        lists = [(name, list, field(default_factory=list)) for name in _LISTS]
        made: Any = make_dataclass(owner.__name__, [*fields, *lists])
        return made.__dataclass_fields__


_LISTS = ("parameters", "required_variables")


class ToolMetadata:
    """The metadata that the original's `tool` keeps on a function, as `_tool_metadata`."""

    __dataclass_fields__ = _Fields()

    def __init__(
        self,
        description: str = "",
        supports_streaming: bool = False,
        parameters: list[Any] | None = None,
        required_variables: list[str] | None = None,
    ) -> None:
        """Keep the fields."""
        self.description = description
        self.supports_streaming = supports_streaming
        self.parameters = parameters or []
        self.required_variables = required_variables or []

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __eq__(self, other: object) -> bool:
        """Return whether all fields are equal."""
        return type(other) is type(self) and vars(other) == vars(self)

    def __repr__(self) -> str:
        """Show the fields."""
        return f"ToolMetadata({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def tool(
    description: Any = "",
    supports_streaming: bool = False,
    required_variables: list[str] | None = None,
    *,
    name: str | None = None,
) -> Any:
    """Mark a method as a tool, with the original's arguments; `@tool` without any works too."""
    if callable(description) or isinstance(description, (staticmethod, classmethod)):
        return tool()(description)

    def mark(function: Any) -> Any:
        marked = _adapter.tool(
            name=name, description=description or None, streaming=supports_streaming or None
        )(function)
        shown = description or getattr(function, "__doc__", None) or ""
        marked._tool_metadata = ToolMetadata(shown, supports_streaming, None, required_variables)
        return marked

    return mark


class BaseAdapter(_adapter.BaseAdapter):
    """The original's base class: with `execute_tool`, an adapter may dispatch names itself."""

    @property
    def _session_context(self) -> SessionContext | None:
        return self.session_context

    @_session_context.setter
    def _session_context(self, context: SessionContext | None) -> None:
        self.session_context = context

    @property
    def session_id(self) -> str | None:
        """The session of the running call, if it belongs to one."""
        return None if self.session_context is None else self.session_context.session_id

    def set_session_context(self, session_context: SessionContext | None) -> None:
        """Set the context; called for each call if a subclass overrides it."""
        self.session_context = session_context

    def get_tools(self) -> list[Tool]:
        """Return the tools of this adapter as the host sees them."""
        from ._load.collect import adapter_tools

        return adapter_tools(self, Sources())

    def call_tool(self, tool_name: str, **kwargs: Any) -> Any:
        """Call one of the adapter's methods by its name."""
        return getattr(self, tool_name)(**kwargs)

    def register_with_session(self, session_id: str, stub: Any = None) -> list[str]:
        """Return the names of the tools; the host knows them since the worker's start."""
        return [item.name for item in self.get_tools()]

    async def register_with_session_async(self, session_id: str, stub: Any = None) -> list[str]:
        """Return the names as `register_with_session` does."""
        return self.register_with_session(session_id, stub)
