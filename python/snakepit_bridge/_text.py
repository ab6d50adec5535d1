"""Small text helpers that would otherwise cost a worker the import of a standard module."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

#: Most characters of a text in an error.
MAX_TEXT = 64 * 1024

#: Most characters of all secrets that a tool may name.
MAX_SECRET = 8 * 1024

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _quote(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    out: list[str] = []
    for char in text:
        code = ord(char)
        if char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif code < 0x20 or 0xD800 <= code <= 0xDFFF:
            out.append(f"\\u{code:04x}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def to_json(value: Any) -> str:
    """Return the JSON text of `value`; raises `TypeError` for other values, NaN and infinity.

    The `json` module would add about 3 ms to the start of every worker.
    """
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is str:
        return _quote(value)
    if kind is int:
        return str(value)
    if kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            raise TypeError("JSON has no NaN and no infinity")
        return repr(value)
    if kind is list or kind is tuple:
        return "[" + ",".join([to_json(item) for item in value]) + "]"
    if kind is dict:
        if not all(type(key) is str for key in value):
            raise TypeError("JSON keys are strings")
        return "{" + ",".join([f"{_quote(k)}:{to_json(v)}" for k, v in value.items()]) + "}"
    raise TypeError(f"JSON cannot carry {kind.__name__}")


def is_json(value: Any) -> bool:
    """Return whether `to_json` accepts the value."""
    try:
        to_json(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """Return up to three candidates that `word` may be a misspelling of, best first."""
    from difflib import get_close_matches

    return get_close_matches(word, list(candidates), n=3, cutoff=0.6)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ``did you mean `a` or `b`?``, or an empty text if nothing is similar."""
    names = nearest(word, candidates)
    return f"did you mean {' or '.join(f'`{name}`' for name in names)}?" if names else ""


def clip(text: str, limit: int = MAX_TEXT) -> str:
    """Replace the middle of a text with a note if it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    head, tail = limit // 4, limit - limit // 4
    return f"{text[:head]}\n… {len(text) - limit} characters left out …\n{text[-tail:]}"


def begin(text: str, limit: int) -> str:
    """Return the beginning of a text. A mark, at which secrets are found, shows that it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def reason(error: BaseException) -> str:
    """Return the beginning of the first line of an exception's text."""
    return begin(str(error).partition("\n")[0], 200)


def clean_doc(doc: object) -> str:
    """Return a docstring without its indentation, as `inspect.cleandoc` does."""
    if not isinstance(doc, str):
        return ""
    lines = doc.expandtabs().split("\n")
    margins = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    margin = min(margins, default=0)
    return "\n".join([lines[0].strip(), *[line[margin:].rstrip() for line in lines[1:]]]).strip()


def short_path(path: str) -> str:
    """Return the path relative to the current directory if it lies below it."""
    import os

    try:
        here = os.getcwd()
    except OSError:
        return path
    prefix = here if here.endswith("/") else here + "/"
    return path[len(prefix) :] if path.startswith(prefix) else path
