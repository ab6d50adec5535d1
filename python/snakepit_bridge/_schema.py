"""From annotations to what the runtime checks (spec tuples) and what the host shows (JSON Schema).

A spec is a nested tuple such as `("list", ("float",))`; the native runtime compiles it once per
tool. Nothing here imports `typing`, `enum` or `dataclasses`: an annotation made with them can
only exist when user code imported them, and then they are in `sys.modules`.
"""

import sys

from . import _text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANY: "tuple[Any, ...]" = ("any",)

_GENERIC_ALIAS = type(list[int])
_UNION = type(int | None)

_PLAIN: "dict[Any, tuple[str, dict[str, Any]]]" = {
    None: ("none", {"type": "null"}),
    type(None): ("none", {"type": "null"}),
    bool: ("bool", {"type": "boolean"}),
    int: ("int", {"type": "integer"}),
    float: ("float", {"type": "number"}),
    str: ("str", {"type": "string"}),
    bytes: ("bytes", {"type": "string", "contentEncoding": "base64"}),
    object: ("any", {}),
}

_BARE = {
    list: "list",
    set: "set",
    frozenset: "frozenset",
    tuple: "vartuple",
    dict: "dict",
}

# Classes of modules that user code must have imported to name them.
_FOREIGN = {
    ("datetime", "datetime"): ("datetime", {"type": "string", "format": "date-time"}),
    ("datetime", "date"): ("date", {"type": "string", "format": "date"}),
    ("datetime", "time"): ("time", {"type": "string", "format": "time"}),
    ("datetime", "timedelta"): ("timedelta", {"type": "string", "format": "duration"}),
    ("uuid", "UUID"): ("uuid", {"type": "string", "format": "uuid"}),
    ("decimal", "Decimal"): ("decimal", {"type": "string", "format": "decimal"}),
}

# Abstract collections and the kind that stands for them.
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


class Scope:
    """What converting one tool's annotations needs: names to resolve, and schemas shared."""

    __slots__ = ("active", "defs", "names", "refs")

    def __init__(self, names: "dict[str, Any]") -> None:
        """Resolve string annotations in `names`, the globals of the function."""
        self.names = names
        self.defs: dict[str, Any] = {}
        self.refs: dict[Any, str] = {}
        self.active: list[Any] = []

    def resolve(self, text: str) -> "Any":
        """The object that a string annotation names; `_Unknown` when it does not resolve."""
        try:
            return eval(text, self.names)
        except Exception:
            return _Unknown

    def convert(self, annotation: "Any") -> "tuple[tuple[Any, ...], dict[str, Any]]":
        """The spec and the JSON Schema of an annotation; unknown ones accept anything."""
        if isinstance(annotation, str):
            annotation = self.resolve(annotation)
        kind = type(annotation)
        try:
            plain = _PLAIN.get(annotation)
        except TypeError:
            return ANY, {}
        if plain is not None:
            return (plain[0],), dict(plain[1])
        if kind is _GENERIC_ALIAS:
            return self.generic(annotation.__origin__, annotation.__args__)
        if kind is _UNION:
            return self.union(annotation.__args__)
        if isinstance(annotation, type):
            return self.class_(annotation)
        if "typing" in sys.modules:
            from . import _typing_forms

            return _typing_forms.convert(self, annotation)
        return ANY, {}

    def generic(
        self, origin: "Any", args: "tuple[Any, ...]"
    ) -> "tuple[tuple[Any, ...], dict[str, Any]]":
        """`list[int]`, `dict[str, int]`, `tuple[int, ...]`, `Sequence[int]` and so on."""
        kind = _BARE.get(origin) or _abstract(origin)
        if kind is None:
            return self.convert(origin) if isinstance(origin, type) else (ANY, {})
        if kind == "tuple" or kind == "vartuple":
            if len(args) == 2 and args[1] is Ellipsis:
                spec, schema = self.convert(args[0])
                return ("vartuple", spec), _array(schema)
            return self.tuple_(() if args == ((),) else args)
        if kind == "dict":
            key, _ = self.convert(args[0]) if args else (ANY, {})
            value, schema = self.convert(args[1]) if len(args) > 1 else (ANY, {})
            return ("dict", key, value), {"type": "object", "additionalProperties": schema or True}
        spec, schema = self.convert(args[0]) if args else (ANY, {})
        return (kind, spec), _array(schema, unique=kind in ("set", "frozenset"))

    def tuple_(self, items: "tuple[Any, ...]") -> "tuple[tuple[Any, ...], dict[str, Any]]":
        """A tuple of fixed length."""
        parts = [self.convert(item) for item in items]
        count = len(parts)
        schema: dict[str, Any] = {"type": "array", "minItems": count, "maxItems": count}
        if parts:
            schema["prefixItems"] = [part[1] for part in parts]
        return ("tuple", tuple([part[0] for part in parts])), schema

    def union(self, members: "tuple[Any, ...]") -> "tuple[tuple[Any, ...], dict[str, Any]]":
        """`A | B`, `Optional[A]`, `Union[A, B]`."""
        parts = [self.convert(member) for member in members]
        specs = tuple([part[0] for part in parts])
        if ANY in specs:
            return ANY, {}
        return ("union", specs), {"anyOf": [part[1] for part in parts]}

    def class_(self, cls: type) -> "tuple[tuple[Any, ...], dict[str, Any]]":
        """A class: bare collection, enum, dataclass, typed dictionary, named tuple, date."""
        kind = _BARE.get(cls) or _abstract(cls)
        if kind is not None:
            return self.generic(cls, (object, ...) if cls is tuple else ())
        foreign = _FOREIGN.get((cls.__module__, cls.__qualname__))
        if foreign is None and cls.__module__ == "_pydatetime":
            foreign = _FOREIGN.get(("datetime", cls.__qualname__))
        if foreign is not None:
            return (foreign[0],), dict(foreign[1])
        enum = sys.modules.get("enum")
        if enum is not None and isinstance(cls, enum.EnumMeta):
            members: Any = cls
            values = [_plain_value(member.value) for member in members]
            return ("enum", cls), {"enum": values} if _text.is_json(values) else {}
        if hasattr(cls, "__dataclass_fields__"):
            return self.record(cls, _dataclass_fields(cls))
        if issubclass(cls, dict) and hasattr(cls, "__required_keys__"):
            from . import _typing_forms

            return self.record(cls, _typing_forms.typed_dict_fields(cls), "typeddict")
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            hints = getattr(cls, "__annotations__", {})
            fields: Any = getattr(cls, "_fields", ())
            return self.tuple_(tuple([hints.get(name, object) for name in fields]))
        return ANY, {}

    def record(
        self, cls: type, fields: "list[tuple[str, Any, bool, Any, dict[str, Any]]]", kind: str = ""
    ) -> "tuple[tuple[Any, ...], dict[str, Any]]":
        """A dataclass or typed dictionary; its schema goes to `$defs`.

        A record inside itself is accepted as anything by the spec, which must be finite; the
        schema refers to the definition.
        """
        name = self.refs.get(cls)
        if name is None:
            name = cls.__name__
            while name in self.defs:
                name += "_"
            self.refs[cls] = name
            self.defs[name] = {}
        ref = {"$ref": f"#/$defs/{name}"}
        if cls in self.active:
            return ANY, ref
        self.active.append(cls)
        outer = self.names
        specs: list[Any] = []
        properties: dict[str, Any] = {}
        for field, annotation, required, default, names in fields:
            self.names = names
            spec, schema = self.convert(annotation)
            specs.append((field, spec, required))
            properties[field] = with_default(schema, default)
        self.names = outer
        self.active.pop()
        schema = {
            "type": "object",
            "properties": properties,
            "required": [field for field, _, required in specs if required],
            "additionalProperties": False,
        }
        self.defs[name] = schema
        if kind:
            return (kind, cls.__name__, tuple(specs)), ref
        return ("dataclass", cls, tuple(specs)), ref

    def text(self, schema: "dict[str, Any]") -> str:
        """JSON text of a schema together with the definitions it refers to."""
        if self.defs:
            schema = {**schema, "$defs": self.defs}
        return _text.to_json(schema)


class _Unknown:
    """Stands for an annotation that could not be resolved."""


def _abstract(cls: "Any") -> "str | None":
    if getattr(cls, "__module__", "") in ("collections.abc", "_collections_abc"):
        return _ABSTRACT.get(cls.__qualname__)
    return None


def _array(items: "dict[str, Any]", unique: bool = False) -> "dict[str, Any]":
    schema: dict[str, Any] = {"type": "array"}
    if items:
        schema["items"] = items
    if unique:
        schema["uniqueItems"] = True
    return schema


def _plain_value(value: "Any") -> "Any":
    # `class Color(str, Enum)` keeps plain values; a mixed-in base may leave a subclass.
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value)
    return value


def _dataclass_fields(cls: "Any") -> "list[tuple[str, Any, bool, Any, dict[str, Any]]]":
    missing = sys.modules["dataclasses"].MISSING
    out: list[Any] = []
    for field in cls.__dataclass_fields__.values():
        # `_field_type` tells fields from `ClassVar` and `InitVar` pseudo-fields.
        if field._field_type.name != "_FIELD" or not field.init:
            continue
        required = field.default is missing and field.default_factory is missing
        default = MISSING if field.default is missing else field.default
        # An inherited field's text annotation is to be read in the module of its own class.
        owners = [c for c in cls.__mro__ if field.name in getattr(c, "__annotations__", ())]
        module = sys.modules.get((owners[-1] if owners else cls).__module__)
        out.append((field.name, field.type, required, default, vars(module) if module else {}))
    return out


class _Missing:
    """The type of `MISSING`."""


#: Stands for "no default"; `None` is a default like any other.
MISSING = _Missing()


def with_default(schema: "dict[str, Any]", default: "Any") -> "dict[str, Any]":
    """The schema with `default` noted, where JSON can say it."""
    if default is MISSING:
        return schema
    enum = sys.modules.get("enum")
    if enum is not None and isinstance(default, enum.Enum):
        default = _plain_value(default.value)
    return {**schema, "default": default} if _text.is_json(default) else schema
