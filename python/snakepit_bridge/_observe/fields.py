"""Names and values of telemetry records: cleaned, without secrets, and of bounded size."""

from __future__ import annotations

from .. import _redact
from . import sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Attribute = bool | int | float | str

#: Most attributes of a record.
MAX_ATTRIBUTES = 64
_MAX_NAME = 256
_MAX_TEXT = 1024
#: Characters after the shown part of a long text that are searched for secrets, since masks are
#: shorter than what they hide. The last part of them is never shown: a secret may be cut there.
_BEHIND = 7 * 1024
_MAX_CUT = 512

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/ ")
_SECRETS = (
    *("apikey", "accesskey", "accountkey", "privatekey", "signingkey", "encryptionkey", "secret"),
    *("token", "password", "passwd", "passphrase", "pwd", "credential", "authorization", "bearer"),
    "cookie",
)
#: Endings of names that contain one of these words and are counts.
_COUNTS = ("tokens", "tokencount")


def name(given: object, what: str) -> str:
    """Return a name that the host accepts: other characters become `_`, with one warning."""
    asked = given if type(given) is str else str(given)
    if 0 < len(asked) <= _MAX_NAME and _ALLOWED.issuperset(asked):
        return asked
    # Secrets are masked before the name is changed, so that they are found. As the host does in
    # names, the mask then has no brackets.
    shown = text(asked, _MAX_NAME + len("…".encode()))
    plain = shown.replace(_redact.MASK, "redacted").removesuffix("…")
    fixed = "".join([char if char in _ALLOWED else "_" for char in plain[:_MAX_NAME]]) or "unnamed"
    sink.warn(
        f"name {what}",
        f"the {what} name {shown!r} was changed to {fixed!r}: use 1 to {_MAX_NAME} "
        "letters, digits, spaces, `_`, `.`, `-` and `/`; others are changed without a warning",
    )
    return fixed


def text(value: object, limit: int = _MAX_TEXT) -> str:
    """Return the text of a value without secrets, at most `limit` bytes. Never raises."""
    try:
        shown = value if type(value) is str else str(value)
    except Exception as error:
        shown = f"<no text: {type(error).__name__} in __str__>"
    seen = limit + _BEHIND
    is_cut = len(shown) > seen
    shown = shown[:seen]
    try:
        shown = _redact.redact_secrets(shown)
    except ImportError:
        # Without the extension there is no host: what may be a secret is not shown at all.
        shown = _redact.MASK
    if is_cut and len(shown) < limit + _MAX_CUT:
        shown = (shown if shown.endswith(_redact.MASK) else shown[:-_MAX_CUT]) + "…"
    return sink.clip(shown, limit)


def attribute(value: object) -> Attribute:
    """Return a value as an attribute can carry it: a truth value, a number or a text."""
    kind = type(value)
    if kind is str:
        return text(value)
    if kind is bool or kind is float:
        return value  # pyright: ignore[reportReturnType]
    if value is not None:
        found = number(value)
        if found is not None:
            return found
    return text(value)


def number(value: object) -> int | float | None:
    """Return a number that the host accepts, also for numpy scalars. `None` for other values."""
    if isinstance(value, (str, bytes, bytearray)):
        return None
    try:
        if hasattr(value, "__index__"):
            whole = int(value.__index__())  # pyright: ignore
            return whole if -(1 << 63) <= whole < 1 << 63 else float(whole)
        if hasattr(value, "__float__"):
            return float(value)  # pyright: ignore
    except Exception:
        return None
    return None


#: Valid names of attributes that were seen, with themselves and whether their values are secrets.
_seen: dict[str, tuple[str, bool]] = {}
_MAX_SEEN_NAMES = 512


def attributes(given: Mapping[Any, Any] | None, room: int = MAX_ATTRIBUTES) -> dict[str, Any]:
    """Return the attributes of a record; drops those beyond `room`, masks secrets."""
    out: dict[str, Any] = {}
    if not given:
        return out
    try:
        pairs = list(given.items())
    except Exception as error:
        sink.warn("attributes", f"attributes are ignored: {type(error).__name__}")
        return out
    for key, value in pairs:
        if len(out) >= room:
            sink.warn("attributes", f"attributes beyond {room} of a record are ignored")
            break
        try:
            known = _seen.get(key) if type(key) is str else None
            shown, secret = _remembered(key) if known is None else known
            if secret and type(value) not in (bool, int, float):
                out[shown] = _redact.MASK
            else:
                out[shown] = attribute(value)
        except Exception as error:
            sink.warn("attribute", f"an attribute is ignored: {type(error).__name__}")
    return out


def _remembered(key: object) -> tuple[str, bool]:
    shown = name(key, "attribute")
    found = (shown, is_secret(shown))
    # A changed name is changed again each time: a tool may have named its secret meanwhile.
    if shown == key and type(key) is str:
        if len(_seen) >= _MAX_SEEN_NAMES:
            _seen.clear()
        _seen[key] = found
    return found


def is_secret(key: str) -> bool:
    """Return whether values of this key are secrets. Numbers are counts, such as `max_tokens`."""
    plain = "".join([char for char in key.lower() if char.isalnum()])
    return not plain.endswith(_COUNTS) and any([word in plain for word in _SECRETS])
