"""Search in the source of a class for problems of threads that share an instance.

It sees the class itself: writes through `self` that no `with` encloses, and mutable values of the
class. It does not see what other objects do with the instance.
"""

from __future__ import annotations

import ast
import inspect
import textwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: Methods that run before or after the calls, while no other thread has the instance.
_ALONE = {"__init__", "__new__", "initialize", "cleanup", "__del__"}

#: Methods that change the list, dict, set or deque on which they are called.
_CHANGES = {
    "add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop",
    "popleft", "remove", "reverse", "rotate", "setdefault", "sort", "update",
}  # fmt: skip


def pitfalls(cls: type) -> list[str]:
    """Return a line for each problem; reads base classes too, except those of this package."""
    name = cls.__qualname__
    out: list[str] = []
    if not getattr(cls, "__thread_safe__", False):
        out.append(f"{name} does not declare `__thread_safe__ = True`")
    for base in cls.__mro__:
        if base is object or base.__module__.startswith("snakepit_bridge."):
            if base is not cls:
                continue
        for key, value in vars(base).items():
            if isinstance(value, (list, dict, set, bytearray)) and not key.startswith("__"):
                kind = type(value).__name__
                out.append(f"{base.__qualname__}.{key} is a {kind} that all instances share")
        out.extend(_unlocked(base))
    return out


def _unlocked(cls: type) -> list[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        # A class created at run time has no source to read.
        return []
    body: Any = tree.body[0]
    out: list[str] = []
    for method in body.body:
        if not isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if method.name in _ALONE or not method.args.args:
            continue
        me = method.args.args[0].arg
        seen: set[str] = set()
        for attribute, line in _writes(method.body, me):
            if attribute not in seen:
                seen.add(attribute)
                out.append(
                    f"{cls.__qualname__}.{method.name} changes `{me}.{attribute}` "
                    f"outside of a `with` (line {line} of the class)"
                )
    return out


def _writes(nodes: list[Any], me: str) -> Iterator[tuple[str, int]]:
    """Iterate over attributes of `me` that are changed outside of any `with`, with their lines."""
    for node in nodes:
        if isinstance(node, (ast.With, ast.AsyncWith)):
            continue
        for target in _targets(node):
            name = _attribute(target, me)
            if name is not None:
                yield name, target.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = _attribute(node.func.value, me)
            if name is not None and node.func.attr in _CHANGES:
                yield name, node.lineno
        yield from _writes(list(ast.iter_child_nodes(node)), me)


def _targets(node: Any) -> list[Any]:
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets: list[Any] = list(node.targets)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    else:
        return []
    out: list[Any] = []
    while targets:
        target: Any = targets.pop(0)
        if isinstance(target, (ast.Tuple, ast.List)):
            targets[:0] = target.elts
        else:
            out.append(target.value if isinstance(target, ast.Starred) else target)
    return out


def _attribute(node: Any, me: str) -> str | None:
    """Return `name` if the node is `me.name`, or a part of it: `me.name[k]`, `me.name.more`."""
    name: str | None = None
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute):
            name = node.attr
        node = node.value
    return name if isinstance(node, ast.Name) and node.id == me else None
