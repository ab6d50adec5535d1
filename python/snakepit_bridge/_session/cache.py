"""A cache of the variables that a call has seen, so that reading one again costs no request."""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic

from . import frames
from .variable import PLAIN, Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Seconds for which a value may be served without a request to the host.
DEFAULT_TTL = 5.0

#: Types of values that the host stores exactly as sent, by the variable's type.
_KEPT_AS_IS: dict[str, type] = {
    "string": str,
    "choice": str,
    "module": str,
    "integer": int,
    "float": float,
    "boolean": bool,
}


class Cache:
    """Values by name with an age limit; belongs to one call and may be used from any thread.

    A reply may arrive after a write of another thread. A reader takes `epoch` before its request
    and passes it to `store`, which drops the reply if something was written meanwhile.
    """

    __slots__ = ("_entries", "_lock", "epoch", "ttl")

    def __init__(self) -> None:
        """Create an empty cache."""
        self._entries: dict[str, tuple[float, Variable]] = {}
        self._lock = allocate_lock()
        self.epoch = 0
        self.ttl = DEFAULT_TTL

    def find(self, name: str) -> Variable | None:
        """Return the variable; `None` if it is not cached or too old."""
        entry = self._entries.get(name)
        if entry is None or monotonic() - entry[0] >= self.ttl:
            return None
        return entry[1]

    def names(self) -> list[str]:
        """Return the names of all cached variables, of any age."""
        return list(self._entries)

    def store(self, variable: Variable, epoch: int) -> None:
        """Keep a variable from a reply, unless something was written since `epoch`."""
        if self.ttl > 0:
            with self._lock:
                if self.epoch == epoch:
                    self._entries[variable.name] = (monotonic(), variable)

    def wrote(self, name: str, value: Any, version: int, epoch: int) -> None:
        """Record an own write; its value is served from now on, unless the host may convert it."""
        with self._lock:
            entry = self._entries.pop(name, None)
            if self.epoch == epoch and entry is not None and self.ttl > 0:
                old = entry[1]
                kept = float(value) if old.type == "float" and type(value) is int else value
                if type(kept) is _KEPT_AS_IS.get(old.type):
                    fresh = Variable(name, old.type, kept, version, old.metadata, old.constraints)
                    self._entries[name] = (monotonic(), fresh)
            self.epoch += 1

    def changed(self, name: str, version: int) -> None:
        """Drop a variable that was changed to this version, unless this version is cached."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry[1].version != version:
                self._entries.pop(name, None)
                self.epoch += 1

    def drop(self, name: str | None = None) -> None:
        """Drop one variable, or all of them."""
        with self._lock:
            if name is None:
                self._entries.clear()
            else:
                self._entries.pop(name, None)
            self.epoch += 1


def value_of(variable: Variable) -> Any:
    """Return the value of a variable for a tool: a copy if it is mutable."""
    value = variable.value
    return value if type(value) in PLAIN else copy(value)


def copy(value: Any) -> Any:
    """Copy a value with its lists, maps and frames, so that changes do not reach the cache.

    Arrays are read-only instead.
    """
    kind = type(value)
    if kind is list:
        return [copy(item) for item in value]
    if kind is dict:
        return {key: copy(item) for key, item in value.items()}
    return value if kind in PLAIN else frames.copy(value)
