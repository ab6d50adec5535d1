"""What `Annotated` adds to a type: descriptions, and bounds of annotated-types, pydantic, msgspec.

Other metadata changes nothing: the type is checked all the same.
"""

import sys

from ._schema import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    Limit = tuple[str, Any, str]

_LIBRARIES = ("annotated_types", "pydantic", "msgspec", "typing_extensions")

#: Attribute of the metadata, rule, text after "must", keyword of JSON Schema.
_RULES = (
    ("gt", "gt", "be greater than {}", "exclusiveMinimum"),
    ("ge", "ge", "be at least {}", "minimum"),
    ("lt", "lt", "be less than {}", "exclusiveMaximum"),
    ("le", "le", "be at most {}", "maximum"),
    ("multiple_of", "multiple_of", "be a multiple of {}", "multipleOf"),
    ("min_length", "min_length", "have at least {} items", "minLength"),
    ("max_length", "max_length", "have at most {} items", "maxLength"),
    ("pattern", "pattern", "match the pattern {!r}", "pattern"),
    ("func", "predicate", "satisfy {}", ""),
)


def annotated(scope: Scope, args: "tuple[Any, ...]") -> "tuple[tuple[Any, ...], dict[str, Any]]":
    """The spec and the schema of `Annotated[type, *metadata]`."""
    spec, schema = scope.convert(args[0])
    if spec[0] == "ndarray":
        return _array(spec, args[1:]), schema
    limits: list[Limit] = []
    extra: dict[str, Any] = {}
    for item in _flat(args[1:]):
        text = item if isinstance(item, str) else _description(item)
        if text:
            extra.setdefault("description", text)
        elif _module(item) in _LIBRARIES:
            _read(item, spec, limits, extra)
    if extra:
        schema = {**schema, **extra}
    return (("limited", spec, tuple(limits)) if limits else spec), schema


def _flat(metadata: "Iterable[Any]", depth: int = 0) -> "Iterator[Any]":
    """The metadata with that of `pydantic.Field` and of groups in it."""
    for item in metadata:
        yield item
        inner = getattr(item, "metadata", None) if _module(item) == "pydantic" else None
        if isinstance(inner, list) and depth < 4:
            yield from _flat(inner, depth + 1)  # type: ignore


def _module(item: "Any") -> str:
    return str(type(item).__module__).partition(".")[0]


def _description(item: "Any") -> str:
    """The text of `pydantic.Field(description=...)`, `Doc(...)` or `msgspec.Meta(...)`."""
    if _module(item) not in _LIBRARIES and type(item).__name__ != "Doc":
        return ""
    for name in ("documentation", "description"):
        text = getattr(item, name, None)
        if isinstance(text, str):
            return text
    return ""


def _read(
    item: "Any", spec: "tuple[Any, ...]", limits: "list[Limit]", schema: "dict[str, Any]"
) -> None:
    for name, rule, text, keyword in _RULES:
        bound: Any = getattr(item, name, None)
        if bound is None or (rule == "predicate" and not callable(bound)):
            continue
        if rule in ("min_length", "max_length"):
            if rule == "min_length" and bound == 0:
                continue
            if spec[0] in ("str", "bytes"):
                text = text.replace("items", "characters" if spec[0] == "str" else "bytes")
            else:
                kind = "Properties" if spec[0] == "dict" else "Items"
                keyword = keyword.replace("Length", kind)
        shown: Any = bound
        if rule == "pattern":
            import re

            shown = str(getattr(shown, "pattern", shown))
            bound = re.compile(shown)
        elif rule == "predicate":
            shown = f"`{getattr(bound, '__qualname__', bound)}`"
        limits.append((rule, bound, text.format(shown)))
        if keyword and spec[0] != "bytes" and isinstance(shown, (int, float, str)):
            schema[keyword] = shown


def _array(spec: "tuple[Any, ...]", metadata: "tuple[Any, ...]") -> "tuple[Any, ...]":
    """An array with an element type (`numpy.float32`, a `dtype`) or a shape (`(None, 3)`)."""
    numpy: Any = sys.modules["numpy"]
    _, dtype, shape = spec
    for item in metadata:
        if isinstance(item, numpy.dtype) or (
            isinstance(item, type) and issubclass(item, numpy.generic)
        ):
            dtype = item
        elif isinstance(item, tuple) and all(
            length is None or (isinstance(length, int) and length >= 0)
            for length in item  # type: ignore
        ):
            shape = list(item)  # type: ignore
    return ("ndarray", dtype, shape)
