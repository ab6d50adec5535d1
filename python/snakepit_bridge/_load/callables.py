"""Callables: the kind of a decorated object's result, and the function behind it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Code flags of `inspect`, whose import would cost a worker 8 ms.
GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200
ITERABLE_COROUTINE = 0x100

FUNCTION = type(lambda: None)

#: Largest number of decorators around one function.
_MAX_DEPTH = 64


def plain(function: Any) -> Any:
    """Return a method's function; any other object itself."""
    return getattr(function, "__func__", function)


def flags(function: Any) -> int:
    """Return the flags of a function's code; 0 for objects without code."""
    function = plain(function)
    found = int(getattr(getattr(function, "__code__", None), "co_flags", 0))
    # Marks of `inspect.markcoroutinefunction`, and of its predecessor in `asyncio`.
    marks = ("_is_coroutine_mark", "_is_coroutine")
    if type(function) is FUNCTION and any(hasattr(function, mark) for mark in marks):
        found |= COROUTINE
    return found


def chain(function: Any) -> Iterator[Any]:
    """Iterate over a callable and the functions behind its decorators and partials."""
    for _ in range(_MAX_DEPTH):
        function = plain(function)
        yield function
        if hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif _is_partial(function):
            function = function.func
        else:
            break
    call = _own_call(function)
    if call is not None:
        yield call


def innermost(function: Any) -> Any:
    """Return the innermost function behind decorators that use `functools.wraps`, and partials."""
    return list(chain(function))[-1]


def flags_of_call(function: Any) -> int:
    """Return the flags of the code of which a call creates a coroutine or a generator, if any.

    A decorated function counts as what its wrapper is: a wrapper that makes a list of a generator's
    items, or runs a coroutine, is a plain function. A wrapper that only returns the result counts
    as what it wraps.
    """
    for _ in range(_MAX_DEPTH):
        function = plain(function)
        lazy = flags(function) & (GENERATOR | COROUTINE | ASYNC_GENERATOR)
        if lazy:
            break
        if _is_partial(function):
            function = function.func
        elif type(function).__name__ == "_lru_cache_wrapper" or _passes_on(function):
            function = function.__wrapped__
        else:
            call = _own_call(function)
            if call is None:
                break
            function = call
    return flags(function)


def _is_partial(function: Any) -> bool:
    return type(function).__module__ == "functools" and hasattr(function, "func")


def _own_call(function: Any) -> Any:
    """Return the method `__call__` of an instance."""
    call = getattr(type(function), "__call__", None)  # noqa: B004
    return call if not hasattr(function, "__code__") and hasattr(call, "__code__") else None


def _passes_on(function: Any) -> bool:
    """Return whether a wrapper only returns what the wrapped function has returned."""
    wrapped = getattr(function, "__wrapped__", None)
    code = getattr(function, "__code__", None)
    if wrapped is None or code is None or type(function) is not FUNCTION:
        return False
    lazy = GENERATOR | COROUTINE | ASYNC_GENERATOR
    if not any(flags(item) & lazy for item in chain(wrapped)):
        return False
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    try:
        names = {name for name, cell in cells if plain(cell.cell_contents) is plain(wrapped)}
        return bool(names) and _returns(function, names)
    except (OSError, SyntaxError, TypeError, ValueError):
        # There is no source, or it has changed.
        return False


def _returns(function: Any, names: set[str]) -> bool:
    """Return whether a function returns only results of calls of these names."""
    import ast
    import inspect
    import textwrap

    tree = ast.parse(textwrap.dedent(inspect.getsource(function.__code__))).body[0]
    if not isinstance(tree, ast.FunctionDef):
        return False

    def is_result(value: Any) -> bool:
        called = value.func if isinstance(value, ast.Call) else None
        return isinstance(called, ast.Name) and called.id in names

    results: set[str] = set()
    others: set[str] = set()
    returned: list[Any] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            into = {target.id for target in node.targets if isinstance(target, ast.Name)}
            (results if is_result(node.value) else others).update(into)
        elif isinstance(node, ast.Return):
            returned.append(node.value)
    results -= others
    return bool(returned) and all(
        is_result(value) or (isinstance(value, ast.Name) and value.id in results)
        for value in returned
    )
