"""Loading of adapters: from a reference such as `tools.py:mean` to a `Catalog`."""

from __future__ import annotations

from .._serve import aio, errors
from . import collect
from .catalog import Catalog
from .find import LoadError, find, refuse_shadows_on_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["LoadError", "load"]


def guarded(load: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loader of adapters, which first checks for files that shadow modules it needs."""

    def look_and_load(*args: Any, **kwargs: Any) -> Any:
        refuse_shadows_on_path()
        return load(*args, **kwargs)

    return look_and_load


def load(
    reference: str,
    slots: int = 1,
    concurrency: int = 0,
    checks: str = "warn",
    event_loop: str = "auto",
    strict_hints: bool | None = None,
) -> Catalog:
    """Import the adapter, create and initialise its instances, and list its tools.

    With several `slots`, tools that are not declared thread-safe run one call at a time; `checks`
    is `off`, `warn`, `report` or `strict`. With a `concurrency`, calls share the event loop of this
    thread, of the kind `event_loop`. Hints that are not checked are errors with `strict_hints`, or
    with `SNAKEPIT_STRICT_HINTS`. Raises `LoadError`: SP5003 if something cannot be loaded, SP5004
    if there are no tools.
    """
    if slots > 1 or concurrency:
        from . import sharing

        sharing.begin()
    if concurrency:
        _choose_loop(event_loop)
    target = find(reference)
    if slots > 1 or concurrency:
        _refuse_patched()
    instances: list[Any] = []
    classes, single = collect.classes(target)
    for cls in classes:
        instances.append(cls if not isinstance(cls, type) else _construct(cls))
    tools = collect.tools(target, instances, single)
    if any(hasattr(type(instance), "health") for instance in instances):
        from . import health

        tools.extend(health.checks(instances, {tool.name for tool in tools}))
    _report_unchecked(tools, strict_hints)
    reporter: Any = None
    if slots > 1:
        from . import sharing

        sharing.take_turns(tools, target, checks)
        if checks == "report":
            reporter = sharing.Reporter(tools, target)
    started: list[Any] = []
    try:
        for instance in instances:
            _initialize(instance)
            started.append(instance)
    except LoadError:
        _undo(started)
        raise
    if slots > 1 or concurrency:
        # `initialize` may have patched threads.
        _refuse_patched()
    if reporter is not None:
        reporter.loaded()
        instances.insert(0, reporter)
    return Catalog(tools, instances)


def _report_unchecked(tools: list[Any], strict: bool | None) -> None:
    """Report annotated parameters that are not checked; raise `LoadError` with strict hints."""
    if strict is None:
        from os import environ

        strict = environ.get("SNAKEPIT_STRICT_HINTS", "").strip().lower() in ("1", "true")
    for tool in tools:
        for parameter, reason in tool.unchecked:
            what = f"parameter `{parameter}` of tool `{tool.name}` is {reason}"
            if strict:
                raise LoadError(
                    what,
                    help="annotate it with a type that is checked, or with `object` to accept "
                    "anything",
                    file=tool.file,
                    line=tool.line,
                    source=tool.signature,
                )
            import sys

            sys.stderr.write(f"snakepit: {tool.file}:{tool.line}: {what}\n")


def _refuse_patched() -> None:
    from .patched import culprit

    found = culprit()
    if found is not None:
        library, what = found
        raise LoadError(
            f"`{library}` has replaced `{what}`, and a worker that runs several calls needs the "
            "threads of Python",
            help=f"do not let `{library}` patch threads (gevent: `patch_all(thread=False)`), or "
            "use the profile `process`",
        )


def _choose_loop(kind: str) -> None:
    try:
        aio.choose(kind)
    except ImportError as error:
        raise LoadError.of(
            error,
            "uvloop cannot be imported",
            'install `uvloop` for this interpreter, or set `event_loop = "auto"`',
        ) from error


def _construct(cls: type) -> Any:
    try:
        return cls()
    except BaseException as error:
        raise LoadError.of(
            error,
            f"adapter class `{cls.__qualname__}` cannot be constructed",
            "an adapter class is called without arguments; give its `__init__` defaults",
        ) from error


def _initialize(instance: Any) -> None:
    initialize = getattr(instance, "initialize", None)
    if not callable(initialize):
        return
    try:
        aio.run(initialize())
    except BaseException as error:
        name = type(instance).__qualname__
        raise LoadError.of(
            error,
            f"`initialize` of adapter `{name}` failed",
            "fix the exception; the worker is ready only after `initialize` returns",
        ) from error


def _undo(started: list[Any]) -> None:
    """Clean up the adapters initialised before the one that failed, whose error is reported."""
    try:
        Catalog([], started).close()
    except BaseException as error:
        import sys

        text = errors.traceback_text(error, limit=4096)
        sys.stderr.write(f"cleanup after a failed start failed too\n{text}")
