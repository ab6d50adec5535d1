"""Replacement of all parts of a value that cannot be sent, for the mode that sends markers.

The encoder calls this only after it has found such a part. So nothing is copied or examined twice
as long as results are plain.
"""

from __future__ import annotations

from . import markers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: The encoder's own limit is 128; the result of a conversion may nest again.
_MAX_DEPTH = 100
_LISTS = (list, tuple, set, frozenset)

#: Types whose markers were reported, and the largest number of them.
_reported: set[str] = set()
_MAX_REPORTED = 10_000


def sendable(value: Any, pack: Callable[[Any], bytes] | None = None) -> Any:
    """Return the value in a form that can be sent: containers rebuilt, other parts converted.

    `pack` raises for values that cannot be sent. This function never fails because of an
    `Exception` of the value's methods.
    """
    if pack is None:
        from .._native import pack
    return _Rebuild(pack, markers.Policy(markers.environ)).value(value, 0)


class _Rebuild:
    """One pass over a value; tracks the enclosing containers to detect a value inside itself."""

    def __init__(self, pack: Callable[[Any], bytes], policy: markers.Policy) -> None:
        self.pack = pack
        self.policy = policy
        self.above: set[int] = set()

    def value(self, value: Any, depth: int) -> Any:
        children = _children(value)
        if children is not None and issubclass(type(value), frozenset) and self.packs(value):
            # A list in its place would be another value.
            return value
        if children is None:
            if self.packs(value):
                return value
            converted = markers.convert(value, self.policy)
            if markers.is_marker(converted):
                _report(str(converted.get(markers.TYPE_KEY)))
                return converted
            children = _children(converted)
            if children is None:
                return converted if self.packs(converted) else self.marker(value)
        return self.inside(value, children, depth)

    def inside(self, owner: Any, container: Any, depth: int) -> Any:
        """Return the container rebuilt; `owner` is the object that it came from."""
        if depth >= _MAX_DEPTH or id(owner) in self.above:
            return self.marker(owner)
        self.above.add(id(owner))
        try:
            if isinstance(container, dict):
                return {
                    self.key(key): self.value(item, depth + 1) for key, item in container.items()
                }
            return [self.value(item, depth + 1) for item in container]
        except Exception:
            # A subclass whose iteration fails, or a dict that another thread changes.
            return self.marker(owner)
        finally:
            self.above.discard(id(owner))

    def key(self, key: Any) -> Any:
        """Return the key of a map; one that cannot be sent becomes a text with its type."""
        if self.packs(key):
            return key
        kind = type(key)
        return f"<{kind.__module__}.{kind.__qualname__} at {id(key):#x}>"

    def packs(self, value: Any) -> bool:
        try:
            self.pack(value)
        except Exception:
            return False
        return True

    def marker(self, value: Any) -> dict[str, Any]:
        made = markers.marker(value, self.policy)
        _report(made[markers.TYPE_KEY])
        return made


def _report(kind: str) -> None:
    """Emit an event for the first marker of a type in this worker."""
    if kind in _reported or len(_reported) >= _MAX_REPORTED:
        return
    _reported.add(kind)
    from .. import telemetry

    # The host turns it into `serialization.marker`.
    telemetry.emit("python.serialization.marker", {"count": 1}, {"python_type": kind})


def _children(value: Any) -> Any:
    """Return the value as a list or a map if it is a container, else `None`."""
    # `isinstance` would ask the value itself, which may fail.
    kind = type(value)
    if issubclass(kind, (dict, *_LISTS)):
        return value
    return _fields(value) if hasattr(kind, "__dataclass_fields__") else None


def _fields(value: Any) -> dict[str, Any] | None:
    try:
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    except Exception:
        return None
