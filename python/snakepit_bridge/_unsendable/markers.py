"""Replacements for values that cannot be sent, in the mode that sends replacements.

With `SNAKEPIT_UNSERIALIZABLE=marker`, each value that the encoder cannot send, also inside others,
is replaced by the result of `convert`. Without it such a value is an error, SP2007.

- `SNAKEPIT_UNSERIALIZABLE_DETAIL`: what a marker has beside the type: `none` (default), `type` (a
  placeholder), `repr_truncated`, `repr_redacted_truncated`.
- `SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN`: characters of the repr, 500 by default, at most 2000.
- `SNAKEPIT_TOLIST_MAX_ELEMENTS`: larger arrays are not converted into lists, 1 000 000 by default;
  the elements that `tolist` returns are counted, too.
"""

from __future__ import annotations

from os import environ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

UNSERIALIZABLE_KEY = "__ffi_unserializable__"
TYPE_KEY = "__type__"
REPR_KEY = "__repr__"

DETAILS = ("none", "type", "repr_truncated", "repr_redacted_truncated")
_MAX_REPR = 2000


class Policy:
    """The settings, read from the environment of the worker."""

    __slots__ = ("detail", "max_elements", "max_repr")

    def __init__(self, env: Mapping[str, str]) -> None:
        """Read the settings; invalid values count as not set."""
        detail = env.get("SNAKEPIT_UNSERIALIZABLE_DETAIL", "").strip().lower()
        self.detail = detail if detail in DETAILS else "none"
        self.max_repr = min(_number(env, "SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN", 500), _MAX_REPR)
        self.max_elements = _number(env, "SNAKEPIT_TOLIST_MAX_ELEMENTS", 1_000_000)


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    try:
        return max(0, int(env.get(name, "")))
    except ValueError:
        return default


def convert(obj: Any, policy: Policy | None = None) -> Any:
    """Return a value to send in place of `obj`: the result of its own conversion, or a marker.

    Tried in turn: `model_dump()`, `to_dict()`, `_asdict()`, `tolist()` unless it is too large,
    `isoformat()`. The result may contain values that need conversion themselves, but is never
    `obj`. A method that raises counts as missing.
    """
    policy = policy or Policy(environ)
    # A class has these methods too, but they require an instance.
    if not issubclass(type(obj), type):
        for name in ("model_dump", "to_dict", "_asdict"):
            found = _try(obj, name)
            # Some classes have another `to_dict`, as an index of pandas has.
            if isinstance(found, dict):
                return found
        if not _too_large(obj, policy.max_elements):
            found = _try(obj, "tolist")
            if found is not None and found is not obj and not _is_other(obj, found):
                return marker(obj, policy) if _has_more(found, policy.max_elements) else found
        found = _try(obj, "isoformat")
        if isinstance(found, str):
            return found
    return marker(obj, policy)


def _try(obj: Any, name: str) -> Any:
    try:
        method = getattr(obj, name, None)
        return method() if callable(method) else None
    except Exception:
        return None


def _too_large(obj: Any, limit: int) -> bool:
    """Return whether `tolist` would return more elements than allowed, without calling it."""
    try:
        shape = getattr(obj, "shape", None)
        if isinstance(shape, tuple):
            count = 1
            for length in shape:  # type: ignore
                count *= int(length)  # type: ignore
            return count > limit
        for name in ("size", "nnz"):
            size: Any = getattr(obj, name, None)
            if isinstance(size, int):
                return size > limit
        return hasattr(obj, "tolist") and hasattr(obj, "__len__") and len(obj) > limit
    except Exception:
        return True


def _has_more(found: Any, limit: int) -> bool:
    """Return whether lists have more elements than allowed; an object may understate its size."""
    left = limit
    lists: list[Any] = [found]
    while lists:
        items = lists.pop()
        if not isinstance(items, (list, tuple)):
            continue
        left -= len(items)  # type: ignore
        if left < 0:
            return True
        lists.extend(item for item in items if isinstance(item, (list, tuple)))  # type: ignore
    return False


def _is_other(obj: Any, found: Any) -> bool:
    """Return whether `tolist` returned numbers for times of numpy, which lose their unit."""
    if getattr(getattr(obj, "dtype", None), "kind", "") not in ("M", "m"):
        return False
    items: list[Any] = [found]
    for item in items:
        if isinstance(item, list):
            items.extend(item)  # type: ignore
    return any(isinstance(item, int) for item in items)


def marker(obj: Any, policy: Policy | None = None) -> dict[str, Any]:
    """Return the map that describes a value which could not be sent; never fails."""
    policy = policy or Policy(environ)
    kind = type(obj)
    name = f"{kind.__module__}.{kind.__qualname__}"
    out: dict[str, Any] = {UNSERIALIZABLE_KEY: True, TYPE_KEY: name}
    if policy.detail == "type":
        out[REPR_KEY] = f"<{name}>"
    elif policy.detail != "none":
        out[REPR_KEY] = _repr(obj, policy)
    return out


def _repr(obj: Any, policy: Policy) -> str:
    try:
        text = repr(obj)
    except Exception as error:
        text = f"<no repr: {type(error).__name__}>"
    if policy.detail == "repr_redacted_truncated":
        from .._redact import redact_secrets

        # Secrets are masked before cutting: half a secret is not recognised. A huge repr is cut
        # roughly first.
        text = redact_secrets(text[: policy.max_repr * 4 + 4096])
    if len(text) > policy.max_repr:
        text = text[: max(0, policy.max_repr - 1)] + "…" if policy.max_repr else ""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_marker(value: object) -> bool:
    """Return whether a received value is a marker of one that could not be sent."""
    return isinstance(value, dict) and value.get(UNSERIALIZABLE_KEY) is True  # type: ignore
