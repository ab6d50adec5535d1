"""Variables and their changes as the host reports them."""

from __future__ import annotations

from . import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Variable:
    """A variable of the session at the time of the host's reply."""

    __slots__ = ("constraints", "metadata", "name", "size", "type", "value", "version")

    def __init__(
        self,
        name: str,
        type: str,
        value: Any,
        version: int,
        metadata: dict[str, Any],
        constraints: dict[str, Any],
        size: int | None = None,
    ) -> None:
        """Keep the fields; for a listing, `value` is `None` and `size` the bytes of the value."""
        self.name = name
        self.type = type
        self.value = value
        self.version = version
        self.metadata = metadata
        self.constraints = constraints
        self.size = size

    @classmethod
    def of(cls, item: dict[str, Any]) -> Variable:
        """Read one item of the host's reply."""
        get = item.get
        return cls(
            str(item["name"]),
            str(get("type") or ""),
            freeze(get("value")),
            int(item["version"]),
            get("metadata") or {},
            get("constraints") or {},
            get("size"),
        )

    def __repr__(self) -> str:
        """Show name, type and version; the value may be large."""
        return f"<Variable {self.name!r} {self.type} version={self.version}>"


class Change:
    """A change of a variable, or a gap: `kind` is `"lagged"` if older changes are lost.

    Other kinds are `"registered"`, `"set"` and `"deleted"`. `origin` names the author of the
    change: the host or a worker.
    """

    __slots__ = ("kind", "name", "origin", "seq", "type", "value", "version")

    def __init__(
        self,
        seq: int,
        name: str,
        kind: str,
        version: int = 0,
        type: str = "",
        value: Any = None,
        origin: str = "",
    ) -> None:
        """Keep the fields; `seq` numbers the changes of one session without gaps."""
        self.seq = seq
        self.name = name
        self.kind = kind
        self.version = version
        self.type = type
        self.value = value
        self.origin = origin

    @classmethod
    def of(cls, item: dict[str, Any]) -> Change:
        """Read one item of the host's reply."""
        get = item.get
        return cls(
            int(item["seq"]),
            str(item["name"]),
            str(item["kind"]),
            int(get("version") or 0),
            str(get("type") or ""),
            freeze(get("value")),
            str(get("origin") or ""),
        )

    def __repr__(self) -> str:
        """Show the change and its variable."""
        return f"<Change {self.seq} {self.kind} {self.name!r} version={self.version}>"


#: Types of values that no tool can change.
PLAIN = frozenset({int, float, str, bool, type(None)})


def freeze(value: Any) -> Any:
    """Make arrays read-only, so that writing into a cached value is an error, not a surprise.

    Readers of Arrow become tables, since a reader can be read once.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is list or kind is dict:
        for key, item in enumerate(value) if kind is list else value.items():
            value[key] = freeze(item)
        return value
    if kind.__name__ == "RecordBatchReader":
        return frames.kept(value)
    flags = getattr(value, "flags", None)
    if flags is not None and getattr(flags, "writeable", False) and hasattr(value, "setflags"):
        value.setflags(write=False)
    return value


#: Types of variables by class; a bool is an int, too.
_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    dict: "map",
    list: "list",
    tuple: "list",
    set: "list",
    frozenset: "list",
}

#: Types of variables by the kind of numpy scalars that are none of these classes.
_SCALARS = {"b": "boolean", "i": "integer", "u": "integer", "f": "float"}


def is_numpy_scalar(value: Any) -> bool:
    """Return whether a value is a numpy scalar; an array without dimensions is not."""
    from sys import modules

    numpy: Any = modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def infer_type(name: str, value: Any) -> str:
    """Return the type for registering `value`; raises `TypeError` if there is none."""
    kind = type(value)
    for base, found in _TYPES.items():
        if issubclass(kind, base):
            return found
    if frames.is_frame(kind):
        return "data_frame"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if not is_numpy_scalar(value):
            return "embedding" if len(value.shape) == 1 else "tensor"
        found = _SCALARS.get(value.dtype.kind)
        if found is not None:
            return found
    raise TypeError(
        f"variable {name!r} does not exist, and its type cannot be inferred from a "
        f"{kind.__name__}: use register_variable(name, type, value)"
    )
