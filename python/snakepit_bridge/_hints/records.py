"""Classes whose instances have named fields, or are created from a text, a number or an array.

Dataclasses, `TypedDict`s, named tuples, models of pydantic, attrs and msgspec; paths, addresses and
fractions; numpy arrays and scalars.
"""

from __future__ import annotations

import sys

from . import arrays, fields as _schema_fields, scalars
from .schema import _NDARRAY, Scope, optional, with_default

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .fields import Field

    Converted = tuple[tuple[Any, ...], dict[str, Any]]

_SCALAR = ("numpy", "generic")

#: Classes that are created from one text, by module and name; subclasses too.
_TEXTS = {
    ("pathlib", "PurePath"): "path",
    ("pathlib._local", "PurePath"): "path",
    ("ipaddress", "IPv4Address"): "ipv4",
    ("ipaddress", "IPv6Address"): "ipv6",
    ("ipaddress", "IPv4Network"): "ipv4-network",
    ("ipaddress", "IPv6Network"): "ipv6-network",
    ("ipaddress", "IPv4Interface"): "ipv4-interface",
    ("ipaddress", "IPv6Interface"): "ipv6-interface",
    ("fractions", "Fraction"): "fraction",
    ("zoneinfo", "ZoneInfo"): "time-zone",
}


def convert(scope: Scope, cls: type, args: tuple[Any, ...] = ()) -> Converted:
    """Return the spec and the schema of a class; unknown ones accept any value, and are noted.

    `args` are the values of a generic class's variables.
    """
    if cls is complex:
        return scalars.of_complex()
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and not issubclass(cls, pydantic.BaseModel):
        marks = ("__get_pydantic_core_schema__", "__pydantic_validator__")
        if any(hasattr(cls, mark) for mark in marks):
            return _model(scope, _Adapted(cls, pydantic.TypeAdapter(cls)))
    if hasattr(cls, "__dataclass_fields__"):
        return _record(scope, cls, _schema_fields.of_dataclass(cls), args)
    if issubclass(cls, dict) and hasattr(cls, "__required_keys__"):
        from . import typing_forms

        return _record(scope, cls, typing_forms.typed_dict_fields(cls), args, "typeddict")
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _record(scope, cls, _schema_fields.of_named_tuple(cls), args, "namedtuple")
    if pydantic is not None and issubclass(cls, pydantic.BaseModel):
        return _model(scope, cls)
    if hasattr(cls, "__attrs_attrs__"):
        return _record(scope, cls, _schema_fields.of_attrs(cls), args)
    if hasattr(cls, "__struct_fields__"):
        return _struct(scope, cls, args)
    for base in cls.__mro__:
        format = _TEXTS.get((base.__module__, base.__qualname__))
        if format is not None:
            schema = {"type": "string", "format": format}
            if format == "ipv6":
                # The format has no zones, and a zone is meaningful on one machine only.
                zone = ("predicate", _has_no_zone, "be without a zone such as `%eth0`")
                return ("limited", ("text", cls), (zone,)), schema
            return ("text", cls), schema
        if (base.__module__, base.__qualname__) == _NDARRAY:
            return arrays.of_array(scope, ())
        if (base.__module__, base.__qualname__) == _SCALAR:
            return scalars.convert(cls) or scope.unknown(cls)
    from . import frames

    return frames.convert(cls) or scope.unknown(cls)


def _has_no_zone(address: Any) -> bool:
    return address.scope_id is None


def unpacked_fields(
    scope: Scope, annotation: Any
) -> list[tuple[str, tuple[Any, ...], bool, dict[str, Any]]] | None:
    """Return name, spec, requirement and schema of the fields of `**kw: Unpack[SomeTypedDict]`."""
    if isinstance(annotation, str) and annotation.partition("[")[0].rpartition(".")[2] == "Unpack":
        annotation = scope.resolve(annotation)
    unpack: Any = annotation
    try:
        if str(getattr(getattr(unpack, "__origin__", None), "_name", "")) != "Unpack":
            return None
        cls: Any = unpack.__args__[0]
        if not hasattr(cls, "__required_keys__"):
            return None
    except Exception:
        # It is no such annotation; that it cannot be examined is reported elsewhere.
        return None
    from . import typing_forms

    out: list[Any] = []
    for name, inner, required, _, names in typing_forms.typed_dict_fields(cls):
        outer, scope.names = scope.names, names
        spec, schema = scope.top(inner)
        scope.names = outer
        out.append((name, spec, required, schema))
    return out


def _record(
    scope: Scope, cls: type, fields: list[Field], args: tuple[Any, ...], kind: str = ""
) -> Converted:
    """Convert a class with fields; its schema goes to `$defs`."""
    key = (cls, args) if args else cls
    return scope.named(key, cls.__name__, lambda: _fields(scope, cls, fields, key, kind))


def _fields(scope: Scope, cls: type, fields: list[Field], key: Any, kind: str) -> Converted:
    label = scope.label(key, cls.__name__)
    ref = {"$ref": f"#/$defs/{label}"}
    outer, around = scope.names, scope.bound
    scope.bound = _schema_fields.inherited(cls) + around
    specs: list[Any] = []
    properties: dict[str, Any] = {}
    for field, annotation, required, default, names in fields:
        scope.names = names
        spec, schema = scope.convert(annotation)
        if default is None:
            spec, schema = optional(spec, schema)
        specs.append((field, spec, required))
        properties[field] = with_default(schema, default)
    scope.names, scope.bound = outer, around
    needed = [field for field, _, required in specs if required]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }
    if kind == "namedtuple":
        items = {
            "type": "array",
            "prefixItems": list(properties.values()),
            "minItems": len(needed),
            "maxItems": len(specs),
        }
        schema = {"anyOf": [items, schema]}
    scope.defs[label] = schema
    if kind == "typeddict":
        return (kind, cls.__name__, tuple(specs)), ref
    return (kind or "dataclass", cls, tuple(specs)), ref


def _struct(scope: Scope, cls: Any, args: tuple[Any, ...]) -> Converted:
    """Convert a msgspec struct. Its tag is a key of the map, but no field."""
    fields = _schema_fields.of_struct(cls)
    tag = _schema_fields.tag_of_struct(cls)
    if tag is None:
        return _record(scope, cls, fields, args)
    name, value = tag

    def make(values: dict[str, Any]) -> Any:
        return cls(**{key: item for key, item in values.items() if key != name})

    literal = sys.modules["typing"].Literal[value]
    fields = [(name, literal, False, _schema_fields.MISSING, {}), *fields]
    key = (cls, args) if args else cls

    def convert() -> Converted:
        spec, schema = _fields(scope, cls, fields, key, "typeddict")
        return ("made", make, cls.__name__, spec, cls), schema

    return scope.named(key, cls.__name__, convert)


class _Adapted:
    """A class that pydantic validates although it is no model, such as its own dataclasses."""

    def __init__(self, cls: type, adapter: Any) -> None:
        self.cls, self.__name__ = cls, cls.__name__
        self.model_validate = adapter.validate_python
        self.adapter = adapter

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Adapted) and other.cls is self.cls

    def __hash__(self) -> int:
        return hash(self.cls)

    def model_json_schema(self, ref_template: str) -> Any:
        return self.adapter.json_schema(ref_template=ref_template)


def _model(scope: Scope, cls: Any) -> Converted:
    """Convert a pydantic model, which knows its schema and validates by itself."""
    label = scope.label(cls, cls.__name__)
    if label not in scope.defs:
        template = f"#/$defs/{label}.{{model}}"
        try:
            schema: dict[str, Any] = cls.model_json_schema(ref_template=template)
        except Exception:
            # The model validates all the same; some of its types have no schema.
            return ("model", cls, ()), {}
        for name, inner in schema.pop("$defs", {}).items():
            scope.defs[f"{label}.{name}"] = inner
        scope.defs[label] = schema
    fields = scope.defs[label].get("properties", {}).items()
    tags = [(name, (field["const"],)) for name, field in fields if "const" in field]
    return ("model", cls, tuple(tags)), {"$ref": f"#/$defs/{label}"}
