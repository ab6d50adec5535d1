"""Fields of classes: names, annotations, and which of them have a default."""

from __future__ import annotations

import sys

from .schema import MISSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: Name, annotation, whether required, default, and the names for resolving.
    Field = tuple[str, Any, bool, Any, dict[str, Any]]


def names_of(cls: Any) -> dict[str, Any]:
    """Return the names that a class's annotations in text form can use."""
    module = sys.modules.get(cls.__module__)
    names = vars(module) if module else {}
    own = getattr(cls, "__type_params__", ())
    return {**names, **{item.__name__: item for item in own}} if own else names


def hints_of(cls: Any) -> dict[str, Any]:
    """Return the annotations of a class, without those of its bases."""
    try:
        return cls.__annotations__
    except Exception:
        # Since Python 3.14 annotations are evaluated here; a name may be missing at run time.
        import annotationlib  # pyright: ignore[reportMissingImports]

        forms: Any = annotationlib
        return forms.get_annotations(cls, format=forms.Format.FORWARDREF)


def _owner(cls: Any, field: str) -> Any:
    """Return the class that defines a field, in whose module its annotation is resolved."""
    return next((base for base in cls.__mro__ if field in hints_of(base)), cls)


def inherited(cls: Any) -> list[tuple[Any, Any]]:
    """Return type variables of generic bases with their values."""
    out: list[Any] = []
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = getattr(base, "__origin__", None)
        if not isinstance(origin, type):
            # `TypedDict` and `NamedTuple` are functions.
            out += inherited(base) if isinstance(base, type) else []
            continue
        for variable, arg in zip(
            getattr(origin, "__parameters__", ()), base.__args__, strict=False
        ):
            # `class B(A[list[T]], Generic[T])`: `T` cannot be both.
            if variable is not arg and variable not in getattr(arg, "__parameters__", ()):
                out.append((variable, arg))
        out += inherited(origin)
    return out


def of_dataclass(cls: Any) -> list[Field]:
    """Return the parameters of a dataclass."""
    missing = sys.modules["dataclasses"].MISSING
    out: list[Any] = []
    for field in cls.__dataclass_fields__.values():
        # `_field_type` tells fields and parameters of `__init__` from `ClassVar`s.
        if field._field_type.name == "_FIELD_CLASSVAR" or not field.init:
            continue
        required = field.default is missing and field.default_factory is missing
        default = MISSING if field.default is missing else field.default
        annotation = field.type
        if field._field_type.name == "_FIELD_INITVAR":
            # `InitVar[int]`, also as text.
            annotation = getattr(annotation, "type", annotation)
            if isinstance(annotation, str) and annotation.endswith("]"):
                annotation = annotation.partition("[")[2][:-1]
        names = names_of(_owner(cls, field.name))
        out.append((field.name, annotation, required, default, names))
    return out


def of_named_tuple(cls: Any) -> list[Field]:
    """Return the fields of a named tuple."""
    hints = getattr(cls, "__annotations__", {})
    defaults = cls._field_defaults
    names = names_of(cls)
    return [
        (
            name,
            # The class keeps a hint that was written as text as a `ForwardRef`.
            getattr(hints.get(name), "__forward_arg__", hints.get(name, object)),
            name not in defaults,
            defaults.get(name, MISSING),
            names,
        )
        for name in cls._fields
    ]


def of_attrs(cls: Any) -> list[Field]:
    """Return the parameters of an attrs class."""
    nothing = sys.modules["attr"].NOTHING
    out: list[Any] = []
    for field in cls.__attrs_attrs__:
        if not field.init:
            continue
        annotation = object if field.type is None else field.type
        required = field.default is nothing
        plain = not required and type(field.default).__name__ != "Factory"
        default = field.default if plain else MISSING
        names = names_of(_owner(cls, field.name))
        out.append((field.alias, annotation, required, default, names))
    return out


def tag_of_struct(cls: Any) -> tuple[str, Any] | None:
    """Return the tag of a msgspec struct: the field that distinguishes it, and its value."""
    config = cls.__struct_config__
    return None if config.tag is None else (config.tag_field, config.tag)


def of_struct(cls: Any) -> list[Field]:
    """Return the fields of a msgspec struct; keyword-only ones may follow without a default."""
    none = sys.modules["msgspec"].NODEFAULT
    names = cls.__struct_fields__
    defaults = (none,) * (len(names) - len(cls.__struct_defaults__)) + cls.__struct_defaults__
    out: list[Any] = []
    for name, default in zip(names, defaults, strict=True):
        owner = _owner(cls, name)
        annotation = hints_of(owner).get(name, object)
        plain = isinstance(default, (bool, int, float, str, type(None)))
        shown = default if plain else MISSING
        out.append((name, annotation, default is none, shown, names_of(owner)))
    return out
