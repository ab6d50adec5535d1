"""Annotations made with `typing`; imported only if user code has imported that module itself."""

from __future__ import annotations

import typing

from .schema import ANY, MISSING, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def convert(scope: Scope, annotation: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the spec and the schema of a `typing` form; unknown forms accept any value."""
    if annotation is typing.Any:
        return ANY, {}
    if isinstance(annotation, typing.ForwardRef):
        return scope.convert(annotation.__forward_arg__)
    if isinstance(annotation, typing.TypeVar):
        return _type_var(scope, annotation)
    supertype = getattr(annotation, "__supertype__", None)
    if supertype is not None:
        return scope.convert(supertype)
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if origin is typing.Annotated:
        from . import limits

        return limits.annotated(scope, args)
    if origin is typing.Union:
        return scope.union(args)
    if origin is typing.Literal:
        from . import literals

        return literals.literal(args)
    if type(origin).__name__ == "TypeAliasType":
        return alias(scope, origin, args)
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
    if type(annotation).__name__ == "TypeAliasType":
        return alias(scope, annotation, ())
    name = str(getattr(annotation, "_name", None) or getattr(annotation, "__name__", ""))
    if name in ("LiteralString", "AnyStr"):
        return scope.convert(str)
    if name in ("NoReturn", "Never"):
        return scope.convert(None)
    return scope.unknown(annotation)


def _type_var(scope: Scope, variable: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Convert a type variable: its value, its bound, or any of its constraints."""
    for key, value in scope.bound:
        if key is variable:
            return scope.convert(value)
    if variable.__constraints__:
        return scope.union(variable.__constraints__)
    bound = variable.__bound__
    return (ANY, {}) if bound is None else scope.convert(bound)


def alias(
    scope: Scope, alias: Any, args: tuple[Any, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Convert `type X[T] = ...`, which may refer to itself; `T` stands for its argument."""

    def inner() -> tuple[Any, Any]:
        outer = scope.bound
        scope.bound = bound + outer
        try:
            return scope.convert(alias.__value__)
        finally:
            scope.bound = outer

    try:
        hash(args)
    except TypeError:
        return scope.unknown(alias)
    known = scope.known(args)
    bound = list(zip(alias.__type_params__, known, strict=False))
    return scope.named((alias, known), alias.__name__, inner)


def typed_dict_fields(cls: Any) -> list[tuple[str, Any, bool, Any, dict[str, Any]]]:
    """Return name, annotation, requirement, default and names for resolving, for each key."""
    from . import fields

    names = fields.names_of(cls)
    out: list[Any] = []
    for name, annotation in fields.hints_of(cls).items():
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
