"""Classes of `collections`: `deque`, `OrderedDict`, `defaultdict`, `Counter`."""

from __future__ import annotations

from .schema import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Classes that a `defaultdict` can create missing values with.
_FACTORIES = (list, dict, set, int, float, str, bool)


def convert(
    scope: Scope, cls: Any, args: tuple[Any, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the spec and the schema of such a class; the tool receives an instance."""
    name: str = cls.__name__
    make = cls
    if name == "Counter":
        args = (args[0], int) if args else (object, int)
    if name == "defaultdict":
        value = args[1] if len(args) > 1 else None
        value = getattr(value, "__origin__", value)
        factory = value if value in _FACTORIES else None

        def make(items: Any) -> Any:
            return cls(factory, items)

    spec, schema = scope.generic(list if name == "deque" else dict, args)
    return ("made", make, name, spec, cls), schema
