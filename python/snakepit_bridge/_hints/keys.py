"""Schemas for the keys of maps and the items of sets; JSON has only texts as keys."""

from __future__ import annotations

from .. import _text
from . import text_forms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEYWORDS = ("anyOf", "format", "maxLength", "minLength", "pattern")

_PLAIN = {
    "int": {"pattern": text_forms.WHOLE},
    "float": {"pattern": text_forms.NUMBER},
    "bool": {"enum": ["true", "false"]},
    "none": {"enum": ["null"]},
    "any": {},
    "def": {},
    "ref": {},
}

_CONTAINERS = ("list", "set", "dict", "typeddict", "ndarray")

_SCALARS = ["null", "boolean", "number", "string"]


def names(spec: tuple[Any, ...], schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of the texts that are keys of this kind; `None` if there are none."""
    kind = spec[0]
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "limited":
        return names(spec[1], schema)
    if kind == "made" and spec[3] != ("any",):
        return names(spec[3], schema)
    if kind == "union":
        parts = [names(*part) for part in zip(spec[1], schema["anyOf"], strict=True)]
        known = [part for part in parts if part is not None]
        return None if not known else {} if {} in known else {"anyOf": known}
    if kind in ("literal", "enum"):
        return {"enum": [_key(value) for value in schema.get("enum", ()) if _is_key(value)]}
    if kind in ("timedelta", "decimal"):
        schema = schema["anyOf"][0]
    elif schema.get("type") != "string":
        return None
    return {key: value for key, value in schema.items() if key in _KEYWORDS}


def _is_key(value: Any) -> bool:
    return not isinstance(value, (list, dict))


def _key(value: Any) -> str:
    return value if isinstance(value, str) else _text.to_json(value)


def items(spec: tuple[Any, ...], schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of items of a set of this kind; `None` if none is hashable."""
    kind = spec[0]
    if kind == "any":
        return {**schema, "type": _SCALARS}
    if kind in _CONTAINERS:
        return None
    if kind == "limited":
        return items(spec[1], schema)
    if kind == "made":
        # Abstract classes of numpy have no hash, but the scalars that are made have one.
        scalar = any(base.__name__ == "generic" for base in spec[4].__mro__)
        return schema if scalar or spec[4].__hash__ is not None else None
    if kind in ("dataclass", "namedtuple", "model"):
        return None if spec[1].__hash__ is None else schema
    if kind == "vartuple":
        inner = items(spec[1], schema.get("items", {}))
        return {**schema, "maxItems": 0} if inner is None else {**schema, "items": inner}
    if kind == "tuple" and spec[1]:
        parts = [items(*part) for part in zip(spec[1], schema["prefixItems"], strict=True)]
        return None if None in parts else {**schema, "prefixItems": parts}
    if kind == "union":
        parts = [items(*part) for part in zip(spec[1], schema["anyOf"], strict=True)]
        known = [part for part in parts if part is not None]
        return {**schema, "anyOf": known} if known else None
    return schema
