"""The variables that a call has seen lately, so that reading one again costs no request."""

from _thread import allocate_lock
from time import monotonic

from ._variable import Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Seconds for which a value may be served without asking the host again.
DEFAULT_TTL = 5.0

#: What the host stores exactly as it was sent, by the variable's type.
_KEPT_AS_IS: "dict[str, type]" = {
    "string": str,
    "choice": str,
    "module": str,
    "integer": int,
    "float": float,
    "boolean": bool,
}


class Cache:
    """Values by name with an age limit; belongs to one call and may be used from any thread.

    A reply may arrive after a write of another thread. Whoever asks takes `epoch` before and hands
    it to `store`: when something was written meanwhile the reply is not kept.
    """

    __slots__ = ("_entries", "_lock", "epoch", "ttl")

    def __init__(self) -> None:
        """Begin empty."""
        self._entries: dict[str, tuple[float, Variable]] = {}
        self._lock = allocate_lock()
        self.epoch = 0
        self.ttl = DEFAULT_TTL

    def find(self, name: str) -> "Variable | None":
        """The variable, unless it is unknown here or too old."""
        entry = self._entries.get(name)
        if entry is None or monotonic() - entry[0] >= self.ttl:
            return None
        return entry[1]

    def names(self) -> "list[str]":
        """What is kept, of any age."""
        return list(self._entries)

    def store(self, variable: Variable, epoch: int) -> None:
        """Keep what the host told, if nothing was written since `epoch`."""
        if self.ttl > 0:
            with self._lock:
                if self.epoch == epoch:
                    self._entries[variable.name] = (monotonic(), variable)

    def wrote(self, name: str, value: "Any", version: int, epoch: int) -> None:
        """Note an own write; the value is served from now on, unless the host may convert it."""
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
        """Forget a variable of which somebody made this version, unless it is the one kept."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry[1].version != version:
                self._entries.pop(name, None)
                self.epoch += 1

    def drop(self, name: "str | None" = None) -> None:
        """Forget one variable, or all of them."""
        with self._lock:
            if name is None:
                self._entries.clear()
            else:
                self._entries.pop(name, None)
            self.epoch += 1


def value_of(variable: Variable) -> "Any":
    """The value of a variable for a tool: a copy where it could be changed."""
    value = variable.value
    kind = type(value)
    return copy(value) if kind is list or kind is dict else value


def copy(value: "Any") -> "Any":
    """The value with its lists and maps copied: who changes what it got changes no cache.

    Arrays are read-only instead.
    """
    kind = type(value)
    if kind is list:
        return [copy(item) for item in value]
    if kind is dict:
        return {key: copy(item) for key, item in value.items()}
    return value
