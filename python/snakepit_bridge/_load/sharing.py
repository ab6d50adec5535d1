"""Sharing of an adapter by several slots, whose calls run at the same time.

Code that is not declared thread-safe runs one call at a time. `__thread_safe__ = True` declares it,
on an adapter class, on a function, or in a module for all its functions.
"""

from __future__ import annotations

from contextvars import ContextVar

from .. import adapter as _adapter
from .find import LoadError, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._session.context import SessionContext
    from .tool import Tool

_HELP = (
    "set `__thread_safe__ = True` on the adapter class, or in the module for its functions, "
    "once calls may run in it at the same time"
)


class _OfTheCall:
    """`BaseAdapter.session_context` for slots that each have a call of their own."""

    def __init__(self) -> None:
        self._current: ContextVar[SessionContext | None] = ContextVar("session_context")

    def __get__(self, adapter: object, owner: type | None = None) -> SessionContext | None:
        return self._current.get(None)

    def __set__(self, adapter: object, context: SessionContext | None) -> None:
        self._current.set(context)


def begin() -> None:
    """Give every call its own context; called before adapters are imported."""
    setattr(_adapter.BaseAdapter, "session_context", _OfTheCall())  # noqa: B010


class Reporter:
    """A pseudo-adapter, the first of them, for pools that request a report."""

    def __init__(self, tools: list[Tool], target: Target) -> None:
        """Activate a new checker, and report every call of a tool to it."""
        from ..thread_safety_checker import enable_checking

        self._checker = enable_checking()
        for tool in tools:
            # Methods of `thread_safe_method` report themselves.
            if not getattr(tool.function, "__snakepit_tracked__", False):
                tool.function = self._told(tool, _subject(tool, target))

    def _told(self, tool: Tool, subject: Any) -> Any:
        from .._threads.around import around

        safe = _declared(tool, subject)
        owner, name = subject, tool.name
        if type(subject).__name__ == "module":
            owner, name = None, f"{subject.__name__}.{name}"
        return around(
            tool.function, lambda _: self._checker.track_execution(name, owner, safe=safe)
        )

    def loaded(self) -> None:
        """Report the libraries that the adapters have imported."""
        self._checker.check_library_safety()

    def cleanup(self) -> None:
        """Print the report, after the adapters have cleaned up."""
        import sys

        from ..thread_safety_checker import print_thread_safety_report

        print_thread_safety_report(sys.stderr)


def take_turns(tools: list[Tool], target: Target, checks: str) -> None:
    """Mark the tools that run one call at a time; raises `LoadError` if `checks` rejects them."""
    if checks == "off":
        return
    numbers: dict[int, int] = {}
    names: dict[str, None] = {}
    for tool in tools:
        subject = _subject(tool, target)
        if _declared(tool, subject):
            continue
        name = _name(subject)
        if checks == "strict":
            raise LoadError(
                f"{name} is not declared thread-safe, but its worker has several slots",
                help=_HELP,
                file=tool.file,
                line=tool.line,
                source=tool.signature,
            )
        names[name] = None
        tool.turn = numbers.setdefault(id(subject), len(numbers))
    if names:
        import sys

        said = f"{', '.join(names)}: not declared thread-safe, so one call runs at a time; {_HELP}"
        sys.stderr.write(f"snakepit: {said}\n")


def _subject(tool: Tool, target: Target) -> Any:
    """Return the adapter whose state a tool uses, or the module."""
    bound = getattr(tool.function, "__self__", None)
    if bound is not None and not isinstance(bound, type(target.module)):
        return bound
    # The owner may be a stand-in for an adapter that takes its context as in the original.
    return getattr(tool.owner, "_adapter", tool.owner) or target.module


def _declared(tool: Tool, subject: object) -> bool:
    own = getattr(tool.function, "__thread_safe__", None)
    return bool(getattr(subject, "__thread_safe__", False) if own is None else own)


def _name(subject: Any) -> str:
    if isinstance(subject, type):
        return f"adapter `{subject.__qualname__}`"
    if hasattr(subject, "__path__") or type(subject).__name__ == "module":
        return f"module `{subject.__name__}`"
    return f"adapter `{type(subject).__qualname__}`"
