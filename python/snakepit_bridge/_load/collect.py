"""Collection of the tools of a module or an adapter."""

from __future__ import annotations

from .. import _text
from ..adapter import BaseAdapter, ToolOptions
from .find import LoadError, Target
from .tool import MAX_NAME, Sources, Tool, valid_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOW = "mark functions with `@tool` from snakepit_bridge, or name one: `{0}:function`"


def classes(target: Target) -> tuple[list[Any], Any]:
    """Return the adapter classes (or instances) to use, and the single function, if named."""
    value = target.value
    if target.attribute:
        if isinstance(value, (type, BaseAdapter)):
            return [value], None
        if callable(value):
            return [], value
        kind = type(value).__qualname__
        raise LoadError(
            f"`{target.reference}` is of type {kind}, not a function or an adapter class",
            help="name a function, a class or a module",
            file=_text.short_path(str(getattr(target.module, "__file__", None) or "")),
        )
    module = target.module
    own = [
        item
        for item in dict.fromkeys(_values(module, type))
        if issubclass(item, BaseAdapter) and item.__module__ == module.__name__
    ]
    # A base class of another adapter in the module is a part of it, not an adapter of its own.
    return [
        cls
        for cls in own
        if not getattr(cls, "__abstractmethods__", None)
        and not any(cls is not other and issubclass(other, cls) for other in own)
    ], None


def _values(module: Any, kind: Any) -> list[Any]:
    return [value for value in vars(module).values() if isinstance(value, kind)]


def tools(target: Target, adapters: list[Any], single: Any) -> list[Tool]:
    """Return the tools of the target in the order of their definition; raises `LoadError`."""
    sources = Sources()
    found: list[Tool] = []
    if single is not None:
        found.append(_make(single, options_of(single) or ToolOptions(), _owner(single), sources))
    elif not target.attribute:
        seen: set[int] = set()
        for value in vars(target.module).values():
            options = options_of(value)
            # Classes are adapters, and `mean = average` is one tool with two names.
            if options is None or isinstance(value, type) or id(value) in seen:
                continue
            seen.add(id(value))
            found.append(_make(value, options, None, sources))
    for adapter in adapters:
        found.extend(adapter_tools(adapter, sources))
    if not found:
        raise _no_tools(target, adapters)
    places: dict[str, Tool] = {}
    for item in found:
        first = places.setdefault(item.name, item)
        if first is not item:
            raise LoadError(
                f"two tools are named `{item.name}`: {first.file}:{first.line} and "
                f"{item.file}:{item.line}",
                help=f'rename one, for example with `@tool(name="{item.name}_2")`',
                file=item.file,
                line=item.line,
                source=item.signature,
            )
    return found


def options_of(value: Any) -> ToolOptions | None:
    # The value may be a proxy of any kind; only real options count.
    try:
        options = getattr(value, "__snakepit_tool__", None)
        if options is None and isinstance(value, (staticmethod, classmethod)):
            options = getattr(value.__func__, "__snakepit_tool__", None)
    except Exception:
        return None
    return options if isinstance(options, ToolOptions) else None


def _owner(function: Any) -> Any:
    return getattr(function, "__self__", None)


def adapter_tools(adapter: Any, sources: Sources) -> list[Tool]:
    """Return the marked methods of an adapter, and the tools of its own dispatch, if it has one."""
    found = _methods(adapter, sources)
    if hasattr(adapter, "execute_tool"):
        from . import dispatch

        found.extend(dispatch.catch_all(adapter, {tool.name for tool in found}, sources))
    return found


def _methods(adapter: Any, sources: Sources) -> list[Tool]:
    names: dict[str, ToolOptions] = {}
    for cls in reversed(type(adapter).__mro__):
        for name, value in vars(cls).items():
            options = options_of(value)
            if options is not None and not isinstance(value, type):
                names[name] = options
            elif name in names and value is None:
                # `name = None` in a subclass removes the tool.
                del names[name]
    out: list[Tool] = []
    for name, options in names.items():
        function = getattr(adapter, name)
        owner = None
        if getattr(function, "__self__", None) is adapter:
            owner = adapter
            if hasattr(adapter, "set_session_context"):
                from . import dispatch

                owner = dispatch.owner(adapter)
        out.append(_make(function, options, owner, sources))
    return out


def _make(function: Any, options: ToolOptions, owner: Any, sources: Sources) -> Tool:
    tool = Tool(function, options, owner, sources)
    if tool.kind == "stream" and hasattr(function, "_tool_metadata"):
        from .._original import chunks

        tool.function = chunks.unwrapped(tool.function)
    if not valid_name(tool.name):
        raise LoadError(
            f"a tool cannot be named `{_text.clip(tool.name, 200)}`",
            help=f"use 1 to {MAX_NAME} of A-Z, a-z, 0-9, `_`, `.`, `-`, "
            "and begin with a letter, a digit or `_`",
            file=tool.file,
            line=tool.line,
            source=tool.signature,
        )
    return tool


def _no_tools(target: Target, adapters: list[Any]) -> LoadError:
    path = _text.short_path(str(getattr(target.module, "__file__", None) or ""))
    help = _HOW.format(target.reference.partition(":")[0])
    if adapters:
        name = type(adapters[0]).__qualname__
        help = f"mark methods of `{name}` with `@tool` from snakepit_bridge"
    else:
        for value in vars(target.module).values():
            if isinstance(value, type) and value.__module__ == target.module.__name__:
                if any(options_of(item) is not None for item in vars(value).values()):
                    help = f"make `{value.__name__}` a subclass of BaseAdapter"
                    break
    return LoadError(f"`{target.reference}` has no tools", code="SP5004", help=help, file=path)
