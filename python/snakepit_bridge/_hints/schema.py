"""Conversion of annotations into specs, which the runtime checks, and JSON Schemas for the host.

A spec is a nested tuple such as `("list", ("float",))`; the native runtime compiles it once per
tool. Nothing here imports `typing`, `enum` or `dataclasses`: an annotation made with them can only
exist if user code imported them, and then they are in `sys.modules`.
"""

from __future__ import annotations

import sys

from .. import _text
from . import text_forms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Most parts of the annotations of one tool: names that refer to each other can be many.
_MAX_PARTS = 10_000

ANY: tuple[Any, ...] = ("any",)

_GENERIC_ALIAS = type(list[int])
_UNION = type(int | None)

_PLAIN: dict[Any, tuple[str, dict[str, Any]]] = {
    None: ("none", {"type": "null"}),
    type(None): ("none", {"type": "null"}),
    bool: ("bool", {"type": "boolean"}),
    int: ("int", {"type": "integer"}),
    float: ("float", {"type": "number"}),
    str: ("str", {"type": "string"}),
    bytes: (
        "bytes",
        {"type": "string", "contentEncoding": "base64", "pattern": text_forms.BASE64},
    ),
    object: ("any", {}),
}

_BARE = {
    list: "list",
    set: "set",
    frozenset: "frozenset",
    tuple: "vartuple",
    dict: "dict",
}

# Classes of modules that user code must have imported to name them; `_pydatetime` is the same
# module without C.
_FOREIGN = {
    ("datetime", "datetime"): "datetime",
    ("datetime", "date"): "date",
    ("datetime", "time"): "time",
    ("datetime", "timedelta"): "timedelta",
    ("_pydatetime", "datetime"): "datetime",
    ("_pydatetime", "date"): "date",
    ("_pydatetime", "time"): "time",
    ("_pydatetime", "timedelta"): "timedelta",
    ("uuid", "UUID"): "uuid",
    ("decimal", "Decimal"): "decimal",
}

_NDARRAY = ("numpy", "ndarray")

# Abstract collections and the concrete kind of each.
_ABSTRACT = {
    "Sequence": "list",
    "MutableSequence": "list",
    "Iterable": "list",
    "Collection": "list",
    "Iterator": "list",
    "Generator": "list",
    "AsyncIterable": "list",
    "AsyncIterator": "list",
    "AsyncGenerator": "list",
    "Set": "set",
    "MutableSet": "set",
    "Mapping": "dict",
    "MutableMapping": "dict",
}


async def _each(items: Any) -> Any:
    for item in items:
        yield item


#: What makes the iterator that a hint names of a list.
_ITERATORS: dict[str, Callable[[Any], Any]] = {
    "Iterator": iter,
    "Generator": iter,
    "AsyncIterable": _each,
    "AsyncIterator": _each,
    "AsyncGenerator": _each,
}


#: Classes of `collections` that are made of a list or a dict.
_COLLECTIONS = ("deque", "OrderedDict", "defaultdict", "Counter")


def _named(cls: Any) -> tuple[str, str]:
    return getattr(cls, "__module__", ""), getattr(cls, "__name__", "")


class Scope:
    """State of converting one tool's annotations: names to resolve, and shared schemas."""

    __slots__ = ("active", "bound", "defs", "left", "names", "refs", "unchecked")

    def __init__(self, names: dict[str, Any]) -> None:
        """Create a scope that resolves string annotations in `names`, a function's globals."""
        self.names = names
        self.defs: dict[str, Any] = {}
        self.refs: dict[Any, str] = {}
        #: Types that are being converted, outermost first: key, name, whether it contains itself.
        self.active: list[list[Any]] = []
        #: Parts of annotations that are not checked, and the reasons.
        self.unchecked: list[str] = []
        #: Type variables of aliases with their values; the innermost first.
        self.bound: list[tuple[Any, Any]] = []
        self.left = _MAX_PARTS

    def resolve(self, text: str) -> Any:
        """Return the object that a string annotation names; `_Unknown` if it does not resolve."""
        try:
            try:
                return eval(text, self.names)
            except NameError:
                # Names that a module imports only for type checkers mostly belong to `typing`.
                import typing

                return eval(text, {**vars(typing), **self.names})
        except Exception as error:
            self.unchecked.append(f"`{text}` cannot be resolved: {type(error).__name__}: {error}")
            return _Unknown

    def top(self, annotation: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the spec and the schema of a whole annotation of any kind.

        An annotation that cannot be examined accepts any value, and is noted in `unchecked`.
        """
        kept = self.names, dict(self.defs), dict(self.refs)
        try:
            return self.convert(annotation)
        except RecursionError:
            reason = "it is nested too deeply"
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        self.names, self.defs, self.refs = kept
        self.active.clear()
        self.bound = []
        self.unchecked.append(f"it cannot be examined: {reason}")
        return ANY, {}

    def convert(self, annotation: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the spec and the JSON Schema of an annotation; unknown ones accept any value."""
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"it has more than {_MAX_PARTS} parts")
        if isinstance(annotation, str):
            return self.text_(annotation)
        kind = type(annotation)
        try:
            plain = _PLAIN.get(annotation)
        except TypeError:
            # `Annotated` with metadata that cannot be hashed.
            plain = None
        if plain is not None:
            return (plain[0],), dict(plain[1])
        if kind is _GENERIC_ALIAS:
            if getattr(annotation, "__unpacked__", False):
                return self.unknown(annotation)
            return self.generic(annotation.__origin__, annotation.__args__)
        if kind is _UNION:
            return self.union(annotation.__args__)
        if isinstance(annotation, type):
            return self.class_(annotation)
        # A `type` statement imports nothing by itself.
        if "typing" in sys.modules or kind.__name__ == "TypeAliasType":
            from . import typing_forms

            return typing_forms.convert(self, annotation)
        return self.unknown(annotation)

    def unknown(self, annotation: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the spec that accepts any value, and note the annotation."""
        if annotation is not _Unknown:
            named = getattr(annotation, "__qualname__", None) or repr(annotation)
            self.unchecked.append(
                f"`{_text.begin(str(named), 80)}` is not a type that values are checked against"
            )
        return ANY, {}

    def text_(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Convert an annotation that is written as a string, and may refer to itself."""
        # A name may be that of a variable, which has another value further inside.
        key = text, id(self.names), tuple([id(value) for _, value in self.bound])
        return self.named(key, text, lambda: self.convert(self.resolve(text)))

    def named(
        self, key: Any, name: str, convert: Callable[[], tuple[Any, Any]]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the result of `convert`; inside it, the same key is a reference to the whole."""
        for entry in self.active:
            if entry[0] == key:
                entry[2] = True
                return ("ref", entry[1]), {"$ref": f"#/$defs/{self.label(key, name)}"}
        entry = [key, f"{name}", False]
        if any(name == other[1] for other in self.active):
            entry[1] = f"{name}#{len(self.active)}"
        self.active.append(entry)
        spec, schema = convert()
        self.active.pop()
        if not entry[2]:
            return spec, schema
        label = self.label(key, name)
        ref = {"$ref": f"#/$defs/{label}"}
        if schema != ref:
            self.defs[label] = schema
        return ("def", entry[1], spec), ref

    def label(self, key: Any, name: str) -> str:
        """Return the name of a definition in the schema."""
        label = self.refs.get(key)
        if label is None:
            plain = "".join([c if c.isalnum() or c in "_." else "_" for c in name])
            label = plain = plain or "Type"
            taken = set(self.refs.values())
            while label in taken or label in self.defs:
                label += "_"
            self.refs[key] = label
        return label

    def generic(self, origin: Any, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Convert `list[int]`, `dict[str, int]`, `tuple[int, ...]`, `Sequence[int]` and so on."""
        kind = _BARE.get(origin) or _abstract(origin)
        if kind is None:
            name = _named(origin)
            if name[0] == "collections" and name[1] in _COLLECTIONS:
                from . import collections

                return collections.convert(self, origin, args)
            return self.foreign(origin, args)
        if kind == "tuple" or kind == "vartuple":
            if len(args) == 2 and args[1] is Ellipsis:
                spec, schema = self.convert(args[0])
                return ("vartuple", spec), _array(schema)
            return self.tuple_(() if args == ((),) else args)
        if kind == "dict":
            key, names = self.convert(args[0]) if args else (ANY, {})
            value, schema = self.convert(args[1]) if len(args) > 1 else (ANY, {})
            out: dict[str, Any] = {"type": "object", "additionalProperties": schema or True}
            if key[0] not in ("str", "any"):
                from . import keys

                allowed = keys.names(key, names)
                if allowed is None:
                    out["maxProperties"] = 0
                elif allowed:
                    out["propertyNames"] = allowed
            return ("dict", key, value), out
        spec, schema = self.convert(args[0]) if args else (ANY, {})
        if kind in ("set", "frozenset"):
            from . import keys

            items = keys.items(spec, schema)
            return (kind, spec, False), {
                **_array(items or {}),
                **({} if items else {"maxItems": 0}),
            }
        made = _ITERATORS.get(getattr(origin, "__name__", ""))
        if made:
            return ("made", made, origin.__name__, (kind, spec), object), _array(schema)
        return (kind, spec), _array(schema)

    def foreign(self, origin: Any, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Convert a generic class of other modules: a numpy array, or a class with parameters."""
        if _named(origin) == _NDARRAY:
            from . import arrays

            return arrays.of_array(self, args)
        if type(origin).__name__ == "TypeAliasType":
            from . import typing_forms

            return typing_forms.alias(self, origin, args)
        parameters = getattr(origin, "__parameters__", ()) if isinstance(origin, type) else ()
        if not parameters:
            return self.convert(origin) if isinstance(origin, type) else self.unknown(origin)
        from . import records

        with_args = self.known(args)
        outer = self.bound
        self.bound = list(zip(parameters, with_args, strict=False)) + outer
        try:
            return records.convert(self, origin, with_args)
        finally:
            self.bound = outer

    def known(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments of a class or an alias, with variables replaced by their values."""
        return tuple([next((v for k, v in self.bound if k is arg), arg) for arg in args])

    def tuple_(self, items: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Convert a tuple of fixed length, or with one part of any length."""
        from . import tuples

        return tuples.convert(self, items)

    def union(self, members: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Convert `A | B`, `Optional[A]`, `Union[A, B]`."""
        parts = [self.convert(member) for member in members]
        specs = tuple([part[0] for part in parts])
        if ANY in specs:
            return ANY, {}
        return ("union", specs), {"anyOf": [part[1] for part in parts]}

    def class_(self, cls: type) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Convert a class: collection, enum, dataclass, typed dictionary, named tuple, date."""
        kind = _BARE.get(cls) or _abstract(cls)
        if kind is not None or (cls.__module__ == "collections" and cls.__name__ in _COLLECTIONS):
            return self.generic(cls, (object, ...) if cls is tuple else ())
        foreign = _FOREIGN.get((cls.__module__, cls.__qualname__))
        if foreign is not None:
            return (foreign,), dict(text_forms.SCHEMAS[foreign])
        enum = sys.modules.get("enum")
        if enum is not None and isinstance(cls, enum.EnumMeta):
            from . import literals

            return literals.enumeration(cls)
        if cls.__name__ == "Any" and cls.__module__ in ("typing", "typing_extensions"):
            # A class since Python 3.11.
            return ANY, {}
        from . import records

        return records.convert(self, cls)

    def text(self, schema: dict[str, Any]) -> str:
        """Return the JSON text of a schema together with the definitions it refers to."""
        if self.defs:
            # Models may have defaults that JSON cannot represent.
            defs = {name: item if _text.is_json(item) else {} for name, item in self.defs.items()}
            schema = {**schema, "$defs": defs}
        return _text.to_json(schema)


def plain_schema(kind: str) -> dict[str, Any]:
    """Return the schema of a built-in class."""
    return next(dict(schema) for name, schema in _PLAIN.values() if name == kind)


def optional(
    spec: tuple[Any, ...], schema: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a spec that also accepts `None`: `x: int = None` is common and means `int | None`."""
    members: Any = spec[1] if spec[0] == "union" else (spec,)
    if spec == ANY or ("none",) in members:
        return spec, schema
    parts: Any = schema["anyOf"] if spec[0] == "union" else [schema]
    parts = [*parts, {"type": "null"}]
    more = {} if spec[0] != "union" else schema
    return ("union", (*members, ("none",))), {**more, "anyOf": parts}


class _Unknown:
    """A placeholder for an annotation that could not be resolved."""


def _abstract(cls: Any) -> str | None:
    if getattr(cls, "__module__", "") in ("collections.abc", "_collections_abc"):
        return _ABSTRACT.get(cls.__qualname__)
    return None


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items} if items else {"type": "array"}


class _Missing:
    """The type of `MISSING`."""


#: A placeholder for "no default"; `None` is a default like any other.
MISSING = _Missing()


def with_default(schema: dict[str, Any], default: Any) -> dict[str, Any]:
    """Return the schema with `default`, if JSON can represent it."""
    if default is MISSING:
        return schema
    if type(default) not in (bool, int, float, str, type(None)):
        from . import literals

        default = literals.shown(default)
    return {**schema, "default": default} if _text.is_json(default) else schema
