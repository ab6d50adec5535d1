"""Annotations made with `typing`; imported only when user code imported that module itself."""

import sys
import typing

from ._schema import ANY, MISSING, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def convert(scope: Scope, annotation: "Any") -> "tuple[tuple[Any, ...], dict[str, Any]]":
    """The spec and the schema of a `typing` form; unknown forms accept anything."""
    if isinstance(annotation, typing.ForwardRef):
        return scope.convert(annotation.__forward_arg__)
    if isinstance(annotation, typing.TypeVar):
        return ANY, {}
    supertype = getattr(annotation, "__supertype__", None)
    if supertype is not None:
        return scope.convert(supertype)
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _annotated(scope, args)
    if origin is typing.Union:
        return scope.union(args)
    if origin is typing.Literal:
        return _literal(args)
    if origin is not None:
        name = str(getattr(origin, "_name", ""))
        if name in ("Required", "NotRequired", "Final", "ReadOnly"):
            return scope.convert(args[0])
        if origin in (list, dict, set, frozenset, tuple) and not args:
            # `typing.List` without arguments; `Tuple[()]` has an origin and no arguments either.
            if origin is tuple and annotation is not typing.Tuple:  # noqa: UP006
                return scope.tuple_(())
            return scope.convert(origin)
        return scope.generic(origin, args)
    value = getattr(annotation, "__value__", None)
    if value is not None and type(annotation).__name__ == "TypeAliasType":
        # A `type X = …` alias may name itself; the inner one is accepted as anything.
        if annotation in scope.active:
            return ANY, {}
        scope.active.append(annotation)
        try:
            return scope.convert(value)
        finally:
            scope.active.pop()
    return ANY, {}


def _annotated(scope: Scope, args: "tuple[Any, ...]") -> "tuple[tuple[Any, ...], dict[str, Any]]":
    spec, schema = scope.convert(args[0])
    description = next((item for item in args[1:] if isinstance(item, str)), None)
    if description is not None:
        schema = {**schema, "description": description}
    return spec, schema


def _literal(values: "tuple[Any, ...]") -> "tuple[tuple[Any, ...], dict[str, Any]]":
    enum = sys.modules.get("enum")
    plain: list[Any] = []
    for value in values:
        if enum is not None and isinstance(value, enum.Enum):
            value = value.value
        plain.append(value)
    if any(isinstance(value, bytes) for value in plain):
        return ("literal", tuple(values)), {}
    return ("literal", tuple(values)), {"enum": plain}


def typed_dict_fields(cls: "Any") -> "list[tuple[str, Any, bool, Any, dict[str, Any]]]":
    """Name, annotation, required, default and names to resolve in, for each key."""
    module = sys.modules.get(cls.__module__)
    names = vars(module) if module else {}
    out: list[Any] = []
    for name, annotation in cls.__annotations__.items():
        required = name in cls.__required_keys__
        text = getattr(annotation, "__forward_arg__", None)
        if text is not None:
            # With `from __future__ import annotations` the class could not see the qualifiers.
            qualifier = text.partition("[")[0].rpartition(".")[2]
            if qualifier in ("Required", "NotRequired"):
                required = qualifier == "Required"
            annotation = text
        out.append((name, annotation, required, MISSING, names))
    return out
