"""Secrets in texts that leave the worker: messages of exceptions, `repr`s of values.

Best effort: it knows the usual shapes of secrets, and a text may hold others; `docs/security.md`
states the rules, and the host has the same ones for what workers print. Every pattern takes time
linear in the text: it comes from anywhere.
"""

from . import (
    _redact_headers,
    _redact_logins,
    _redact_markup,
    _redact_named,
    _redact_tokens,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Match, Pattern

    Spans = list[tuple[int, int]]

MASK = _redact_headers.MASK


class _Patterns:
    """The shapes of secrets, made when the first text comes: a worker's start needs none."""

    def __init__(self) -> None:
        import re

        # A private key between its marks; what was cut off may have had the last.
        self.pem = re.compile(
            r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
            r"(?P<value>.*?)(?=-{4,5} ?END |\Z)",
            re.DOTALL,
        )
        self.bearer = re.compile(
            r"(?:^|[^A-Za-z0-9])bearer(?:[ \t]{1,8}|%20|\+)(?P<value>[A-Za-z0-9._~+/=-]{8,})",
            re.IGNORECASE | re.ASCII,
        )
        # `?sig=…`: a URL that is itself a permission.
        self.signed = re.compile(
            r"(?:[?&]|%3F|%26)(?:sig|signature|x-(?:amz|goog)-signature)(?:=|%3D)"
            r"(?P<value>[^ \t\r\n&\"'<>]{8,})",
            re.IGNORECASE | re.ASCII,
        )
        # The end of a private key whose first mark was cut off.
        self.key_end = re.compile(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")


_patterns: "list[_Patterns]" = []

#: What is not seen: colours, commands to the terminal, characters without width.
_INVISIBLE = (
    "\x1b\\[[ -?]*[@-~]?|\x9b[ -?]*[@-~]?"
    "|\x1b\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)|\x1b[()][^\x1b]|\x1b[0-~]?"
    "|[\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe00-\ufe0f]"
    "|[\U000e0000-\U000e0fff]"
)
_invisible: "list[Pattern[str]]" = []

#: One of these is in each name of a secret.
_KEYS = ("key", "secret", "token", "pass", "pwd", "credential")
#: Without one of these only a token can be in a text.
_WORDS = (
    *_KEYS,
    *("bearer", "-u", "://", "/\\/", "%3", "sig", "authorization", "cookie", "basic"),
)
#: Characters between the marks of a private key.
_OF_KEYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\ \r\n"


def redact_secrets(text: str) -> str:
    """The text with what looks like a secret replaced by `<redacted>`."""
    plain, place = text, None
    spans: Spans = []
    if "\x1b" in text or not text.isascii():
        plain, place, hidden = _plain(text)
        for start, end in hidden:
            command = text[start:end]
            found = _redact_tokens.find(command) + _named(command)
            spans += [(start + first, start + last) for first, last in found]
    found = _redact_tokens.find(plain) + _named(plain)
    spans += found if place is None else [place(start, end) for start, end in found]
    if not spans:
        return text
    joined: list[list[int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    out: list[str] = []
    at = 0
    for start, end in joined:
        out += (text[at:start], MASK)
        at = end
    return "".join(out) + text[at:]


def _plain(text: str) -> "tuple[str, Callable[[int, int], tuple[int, int]], Spans]":
    """The text as a person reads it, where a part of that stands, and commands to the terminal.

    Such a command has a text of its own: the address of a link, the title of a window.
    """
    from bisect import bisect_left, bisect_right

    if not _invisible:
        import re

        _invisible.append(re.compile(_INVISIBLE))
    parts: list[str] = []
    starts, places = [0], [0]
    length = kept = 0
    hidden: Spans = []
    for match in _invisible[0].finditer(text):
        parts.append(text[kept : match.start()])
        length += match.start() - kept
        kept = match.end()
        if kept - match.start() > 8 and text.startswith("\x1b]", match.start()):
            hidden.append((match.start() + 2, kept))
        starts.append(length)
        places.append(kept)
    parts.append(text[kept:])

    def place(start: int, end: int) -> "tuple[int, int]":
        first, last = bisect_right(starts, start) - 1, bisect_left(starts, end) - 1
        return start - starts[first] + places[first], end - starts[last] + places[last]

    return "".join(parts), place, hidden


def _named(text: str) -> "Spans":
    """Secrets that something beside them tells."""
    # Looking for words is twenty times quicker than looking for patterns.
    lower = text.lower()
    spans: Spans = []
    if not any([word in lower for word in _WORDS]):
        return spans
    if not _patterns:
        _patterns.append(_Patterns())
    known = _patterns[0]
    for word, pattern in (
        ("private key", known.pem),
        ("bearer", known.bearer),
        ("sig", known.signed),
    ):
        if word in lower:
            spans += [match.span("value") for match in pattern.finditer(text)]
    spans = [span for span in spans if span[0] < span[1]]
    if "private key" in lower:
        spans += _cut_key(text, known.key_end.search(text))
    if "authorization" in lower or "cookie" in lower:
        spans += _redact_headers.find(text)
    if any([word in lower for word in ("://", "/\\/", "%3", "-u", "basic")]):
        spans += _redact_logins.find(text)
    if any([word in lower for word in _KEYS]):
        spans += _redact_named.find(text)
        if "<" in text or "&lt;" in text:
            spans += _redact_markup.find(text)
    return spans


def _cut_key(text: str, mark: "Match[str] | None") -> "Spans":
    """The lines before the end mark of a private key whose first mark is missing."""
    if mark is None:
        return []
    before = text[: mark.start()]
    start = len(before.rstrip(_OF_KEYS))
    if len(before) - start < 16:
        return []
    return [(start, len(before.rstrip()))]
