"""Secrets in texts that leave the worker: messages of exceptions, `repr`s of values.

Best effort: it knows the usual shapes of secrets, and a text may hold others; `docs/security.md`
states the rules, and the host has the same ones for what workers print. Every pattern takes time
linear in the text: it comes from anywhere.
"""

from . import _redact_headers, _redact_tokens, _redact_unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Match, Pattern

    Spans = list[tuple[int, int]]

MASK = _redact_headers.MASK
#: After a bare `token:` a shorter quoted word is prose, as in `unexpected token: '}'`.
_MIN_AFTER_COLON = 6

#: Names of what is secret, with words before them.
_KEY = (
    r"(?P<key>(?:[a-z0-9]{1,40}[_.-]){0,4}"
    r"(?:[a-z0-9]{0,20}(?:password|passwd|passphrase|pwd|secret|token"
    r"|(?:api|access|account|private|secret|signing|encryption|master|auth|storage)[_-]?key)"
    r"|(?:db|user|smtp|mail|ftp|ssh|redis|mysql|postgres|pg|root|admin)[_-]?pass|credentials?))"
)
_BEFORE = "(?<![a-z0-9])"


class _Patterns:
    """The shapes of secrets, made when the first text comes: a worker's start needs none."""

    def __init__(self) -> None:
        import re

        # `"api_key": "…"`, `token='…'`, `("password", "…")`, with quotes around the key or without.
        self.quoted = re.compile(
            rf"{_BEFORE}b?(?:\\?[\"']?){_KEY}(?P<closed>\\?[\"']?)\]?\s{{0,8}}"
            r"(?P<sign>=>|:=|[:=,])\s{0,8}b?"
            r"(?P<open>\\?[\"'])(?P<value>(?:(?!(?P=open)).)*)(?:(?P=open)|$)",
            re.IGNORECASE | re.DOTALL,
        )
        # `password=…` and `password: …` without quotes.
        self.unquoted = re.compile(
            rf"{_BEFORE}{_KEY}\\?[\"']?\]?(?P<sign>\s{{0,8}}=\s{{0,8}}|:\s{{0,8}})"
            r"(?P<value>[^\s\"',;&)}\]<(\[=>~|][^\s\"',;&)}\]<(\[|]{3,})",
            re.IGNORECASE,
        )
        # `--password …`, also as a list of arguments.
        self.option = re.compile(
            rf"(?:^|(?<=[\s\"'(\[]))--?{_KEY}(?:(?P<list>[\"'],\s{{0,4}}b?[\"'])|\s{{1,4}})"
            r"(?P<value>[^\s\"',;)\]<-][^\s\"',;)\]<]{3,})",
            re.IGNORECASE,
        )
        # A private key between its marks; what was cut off may have had the last.
        self.pem = re.compile(
            r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
            r"(?P<value>.*?)(?=-{4,5} ?END |\Z)",
            re.DOTALL,
        )
        self.bearer = re.compile(r"\bbearer\s{1,8}(?P<value>[A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
        # `curl -u user:password`, also as a list of arguments.
        self.user = re.compile(
            r"[\s\"'](?:-u|--user)(?:[\"'],\s{0,4}|\s{1,8}|=)[\"']?[^\s:/\"']{1,200}:"
            r"(?P<value>[^\s\"']{1,200})"
        )
        # `https://user:password@host`
        self.url = re.compile(
            r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@\"']{0,200}:(?P<value>[^\s/@\"']{1,200})(?=@)",
            re.IGNORECASE,
        )
        # `?sig=…`: a URL that is itself a permission.
        self.signed = re.compile(
            r"[?&](?:sig|signature|x-(?:amz|goog)-signature)=(?P<value>[^\s&\"'<>]{8,})",
            re.IGNORECASE,
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
_WORDS = (*_KEYS, "bearer", "-u", "://", "sig", "authorization", "cookie")
#: Characters between the marks of a private key.
_OF_KEYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\ \r\n"


def redact_secrets(text: str) -> str:
    """The text with what looks like a secret replaced by `<redacted>`."""
    plain, place = text, None
    if "\x1b" in text or not text.isascii():
        plain, place = _plain(text)
    spans = _redact_tokens.find(plain)
    spans += _named(plain)
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
        if place is not None:
            start, end = place(start, end)
        out += (text[at:start], MASK)
        at = end
    return "".join(out) + text[at:]


def _plain(text: str) -> "tuple[str, Callable[[int, int], tuple[int, int]]]":
    """The text as a person reads it, and where a part of that stands in the text."""
    from bisect import bisect_left, bisect_right

    if not _invisible:
        import re

        _invisible.append(re.compile(_INVISIBLE))
    parts: list[str] = []
    starts, places = [0], [0]
    length = kept = 0
    for match in _invisible[0].finditer(text):
        parts.append(text[kept : match.start()])
        length += match.start() - kept
        kept = match.end()
        starts.append(length)
        places.append(kept)
    parts.append(text[kept:])

    def place(start: int, end: int) -> "tuple[int, int]":
        first, last = bisect_right(starts, start) - 1, bisect_left(starts, end) - 1
        return start - starts[first] + places[first], end - starts[last] + places[last]

    return "".join(parts), place


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
        ("-u", known.user),
        ("://", known.url),
        ("sig", known.signed),
    ):
        if word in lower:
            spans += [match.span("value") for match in pattern.finditer(text)]
    spans = [span for span in spans if span[0] < span[1]]
    if "private key" in lower:
        spans += _cut_key(text, known.key_end.search(text))
    if "authorization" in lower or "cookie" in lower:
        spans += _redact_headers.find(text)
    if not any([word in lower for word in _KEYS]):
        return spans
    for match in known.quoted.finditer(text):
        if _is_quoted(match):
            spans.append(match.span("value"))
    for match in known.unquoted.finditer(text):
        value, loose = match["value"], match["sign"] != "="
        if _redact_unquoted.is_secret(match["key"], value, loose, text, match.end()):
            spans.append(match.span("value"))
    for match in known.option.finditer(text):
        value = match["value"]
        if match["list"] or (
            _redact_unquoted.is_secret(match["key"], value, False, text, match.end())
            and (len(value) >= 12 or any(map(str.isdigit, value)))
        ):
            spans.append(match.span("value"))
    return spans


def _is_quoted(match: "Match[str]") -> bool:
    value, closed, sign = match["value"], match["closed"], match["sign"]
    prose = not closed and sign == ":" and len(value) < _MIN_AFTER_COLON
    start = match.start()
    pair = closed and start > 0 and match.string[start - 1] == "("
    # A pair stands in parentheses; in a list, names follow each other.
    return bool(value) and not prose and (sign != "," or bool(pair))


def _cut_key(text: str, mark: "Match[str] | None") -> "Spans":
    """The lines before the end mark of a private key whose first mark is missing."""
    if mark is None:
        return []
    before = text[: mark.start()]
    start = len(before.rstrip(_OF_KEYS))
    if len(before) - start < 16:
        return []
    return [(start, len(before.rstrip()))]
