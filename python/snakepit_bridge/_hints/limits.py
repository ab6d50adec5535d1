"""Metadata of `Annotated`: descriptions, and bounds of annotated-types, pydantic and msgspec.

Other metadata changes nothing: the type is checked all the same.
"""

from __future__ import annotations

from .. import _text
from .schema import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    Limit = tuple[str, Any, str]

_LIBRARIES = ("annotated_types", "pydantic", "pydantic_core", "msgspec", "typing_extensions")

#: Attribute of the metadata, rule, text after "must", keyword of JSON Schema.
_RULES = (
    ("gt", "gt", "be greater than {}", "exclusiveMinimum"),
    ("ge", "ge", "be at least {}", "minimum"),
    ("lt", "lt", "be less than {}", "exclusiveMaximum"),
    ("le", "le", "be at most {}", "maximum"),
    ("multiple_of", "multiple_of", "be a multiple of {}", "multipleOf"),
    ("min_length", "min_length", "have at least {} {}", "min"),
    ("max_length", "max_length", "have at most {} {}", "max"),
    ("pattern", "pattern", "match the pattern {!r}", "pattern"),
    ("func", "predicate", "satisfy {}", ""),
)

#: Kinds of specs to which a bound of a number, a length or a pattern applies.
_NUMBERS = frozenset({"int", "float", "decimal"})
_TEXTS = frozenset({"datetime", "date", "time", "timedelta", "uuid", "decimal", "text"})
_ITEMS = frozenset(
    {"list", "set", "frozenset", "vartuple", "tuple", "tuplerest", "namedtuple", "ndarray"}
)
_FIELDS = frozenset({"dict", "typeddict"})
_SIZED = frozenset({"str", "bytes"}) | _ITEMS | _FIELDS
_OPEN = frozenset({"any", "ref", "model", "dataclass", "literal", "enum"})

#: Metadata that only informs people.
_WORDS = frozenset({"Unit", "DocInfo", "Doc", "FieldInfo", "Meta", "deprecated"})

#: Attributes that require something which is not done here.
_UNREAD = ("strip_whitespace", "to_upper", "to_lower", "strict", "tz", "allow_inf_nan")


def annotated(scope: Scope, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the spec and the schema of `Annotated[type, *metadata]`."""
    spec, schema = scope.convert(args[0])
    if spec[0] == "ndarray":
        from . import arrays

        return arrays.limited(scope, spec, args[1:])
    limits: list[Limit] = []
    extra: dict[str, Any] = {}
    kinds = _kinds(spec)
    for item in _flat(args[1:]):
        text = item if isinstance(item, str) else _description(item)
        if text:
            extra.setdefault("description", str(text))
        if _module(item) in _LIBRARIES:
            _note(scope, item, _read(scope, item, kinds, limits, extra) or bool(text))
    if kinds & {"set", "frozenset"} and any("length" in limit[0] for limit in limits):
        spec, schema = _distinct(spec, schema)
    words = extra.pop("description", None)
    if words is not None:
        schema = {**schema, "description": words}
    schema = dict(schema)
    schema["allOf"] = [*schema.get("allOf", ()), *extra.pop("allOf", ())]
    for keyword in extra:
        _say(schema, keyword, extra[keyword])
    if not schema["allOf"]:
        del schema["allOf"]
    return (("limited", spec, tuple(limits)) if limits else spec), schema


def _kinds(spec: tuple[Any, ...]) -> frozenset[str]:
    """Return the kinds of a spec; for a union those of its members."""
    if spec[0] == "union":
        members: Any = spec[1]
        return frozenset().union(*[_kinds(member) for member in members])
    inner = {"limited": 1, "def": 2, "made": 3}.get(spec[0])
    if inner is not None:
        return _kinds(spec[inner])
    return frozenset({spec[0]})


def _distinct(
    spec: tuple[Any, ...], schema: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make a set with a length accept only lists without repetitions."""
    if spec[0] in ("set", "frozenset"):
        return (spec[0], spec[1], True), {**schema, "uniqueItems": True}
    if spec[0] == "union":
        parts = [_distinct(*part) for part in zip(spec[1], schema["anyOf"], strict=True)]
        specs = tuple([part[0] for part in parts])
        return ("union", specs), {**schema, "anyOf": [part[1] for part in parts]}
    return spec, schema


def _note(scope: Scope, item: Any, found: bool) -> None:
    """Report metadata that is not read here, in whole or in part."""
    name = type(item).__name__
    unread = [attribute for attribute in _UNREAD if getattr(item, attribute, None) is not None]
    if unread:
        scope.unchecked.append(f"`{unread[0]}` of `{name}` in `Annotated` is not read")
    elif not found and name not in _WORDS:
        scope.unchecked.append(f"`{name}` in `Annotated` is not read")


def _flat(metadata: Iterable[Any], depth: int = 0) -> Iterator[Any]:
    """Iterate over the metadata, including that of `pydantic.Field` and of groups."""
    for item in metadata:
        yield item
        inner = getattr(item, "metadata", None) if _module(item) == "pydantic" else None
        if isinstance(inner, list) and depth < 4:
            yield from _flat(inner, depth + 1)  # type: ignore


def _module(item: Any) -> str:
    return str(type(item).__module__).partition(".")[0]


def _description(item: Any) -> str:
    """Return the text of `pydantic.Field(description=...)`, `Doc(...)` or `msgspec.Meta(...)`."""
    if _module(item) not in _LIBRARIES and type(item).__name__ != "Doc":
        return ""
    for name in ("documentation", "description"):
        text = getattr(item, name, None)
        if isinstance(text, str):
            return text
    return ""


def _read(
    scope: Scope,
    item: Any,
    kinds: frozenset[str],
    limits: list[Limit],
    schema: dict[str, Any],
) -> bool:
    """Add the rules of an item of metadata; return whether it has any."""
    found = False
    for name, rule, text, keyword in _RULES:
        bound: Any = getattr(item, name, None)
        if rule == "predicate":
            bound = _predicate(item)
        if bound is None:
            continue
        found = True
        if type(bound).__module__ == "numpy":
            bound = bound.item()
        shown: Any = bound
        keywords: list[str] = [keyword] if keyword else []
        if keyword in ("min", "max"):
            if bound == 0 and keyword == "min":
                continue
            keywords = _lengths(kinds, keyword)
            fits = kinds & (_SIZED | _OPEN)
            shown = f"{bound}"
            text = text.format(bound, _unit(kinds))
        elif rule == "pattern":
            import re

            shown = str(getattr(bound, "pattern", bound))
            bound = re.compile(shown)
            fits = kinds & ({"str"} | _OPEN)
            keywords = keywords if "str" in kinds and not kinds & (_TEXTS | {"bytes"}) else []
        elif rule == "predicate":
            negated = "" if bound is item.func else "not "
            shown = f"{negated}`{getattr(item.func, '__qualname__', item.func)}`"
            fits = kinds
        else:
            number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
            fits = kinds & (_NUMBERS | _OPEN) if number else kinds
            keywords = keywords if number and kinds & _NUMBERS else []
        if not fits:
            scope.unchecked.append(f"the bound `{name}={shown}` does not apply to its type")
        limits.append((rule, bound, text.format(shown)))
        for keyword in keywords:
            said = shown if rule == "pattern" else getattr(item, name)
            _say(schema, keyword, said)
    return found


def _predicate(item: Any) -> Any:
    """Return the function of `Predicate` or `Not`; pydantic's validators run only in models."""
    function: Any = getattr(item, "func", None)
    kind = type(item).__name__
    if not callable(function) or kind not in ("Predicate", "Not"):
        return None
    return function if kind == "Predicate" else lambda value: not function(value)  # type: ignore


def _say(schema: dict[str, Any], keyword: str, said: Any) -> None:
    """Add a keyword to a schema that may have it already."""
    # JSON has only the plain classes.
    for base in (int, float, str):
        if isinstance(said, base):
            said = base(said)
            break
    if not _text.is_json(said):
        return
    if keyword in schema:
        schema["allOf"] = [*schema.get("allOf", ()), {keyword: said}]
    else:
        schema[keyword] = said


def _lengths(kinds: frozenset[str], least: str) -> list[str]:
    """Return the keywords for lengths; the length of bytes does not follow from their text."""
    names: list[str] = []
    if "str" in kinds and not kinds & (_TEXTS | {"bytes"}):
        names.append("Length")
    if kinds & _ITEMS:
        names.append("Items")
    if kinds & _FIELDS:
        names.append("Properties")
    return [least + name for name in names]


def _unit(kinds: frozenset[str]) -> str:
    if kinds <= {"str", "none"}:
        return "characters"
    return "bytes" if kinds <= {"bytes", "none"} else "items"
