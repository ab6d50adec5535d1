"""Values behind the name of a secret: `password='…'`, `"api_key": …`, `--token …`.

A name, a sign and a value, which ends as its form says (`_redact_values.py`). Values without quotes
are judged by `_redact_unquoted.py`.
"""

from . import _redact_unquoted, _redact_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Match, Pattern

    Spans = list[tuple[int, int]]

#: After a bare `token:` a shorter quoted word is prose, as in `unexpected token: '}'`.
_MIN_AFTER_COLON = 6

#: Names of what is secret, with words before them.
KEY = (
    r"(?:(?:[A-Za-z0-9]{1,40}[_.-]){0,4}"
    r"(?:[A-Za-z0-9]{0,20}(?i:password|passwd|passphrase|pwd|secret|token"
    r"|(?:api|access|account|private|secret|signing|encryption|master|auth|storage)[_-]?key)"
    r"|(?i:(?:db|user|smtp|mail|ftp|ssh|redis|mysql|postgres|pg|root|admin)[_-]?pass"
    r"|credentials?)))"
)
#: Quotes around a name: with backslashes, doubled, and as HTML, URLs and JSON escape them.
_CLOSED = r"\\{0,15}[\"'`]{1,2}|&(?:quot|apos|#3[49]|#x2[27]);|%(?:25){0,2}2[27]|\\u002[27]"
#: Colons of full width, too.
_COLONS = (":", "\uff1a")


class _Patterns:
    def __init__(self) -> None:
        import re

        self.head = re.compile(
            rf"(?:^|(?P<before>[^A-Za-z0-9]))(?P<key>{KEY})(?P<closed>(?:{_CLOSED})?\]?)"
            r"[ \t]*(?P<sign>=>|:=|=|:|\uff1a|\uff1d|%(?:25){0,2}3[AaDd]"
            r"|,?[ \t\r\n]{0,20}\\{0,3}[\"']?[Vv]alue\\{0,3}[\"']?[ \t]*[:=]|,)(?:[ \t]|%20)*",
            re.ASCII,
        )
        self.option = re.compile(rf"(?:^|[ \t\r\n\"'(\[])--?(?P<key>{KEY})[ \t]{{1,4}}", re.ASCII)
        # The type of a variable, before its value.
        self.annotation = re.compile(
            r"[A-Za-z_][A-Za-z0-9_.\[\]]{0,60}(?: ?\| ?[A-Za-z0-9_.\[\]]{1,60}){0,4} ?=[ \t]*"
        )


_patterns: "list[_Patterns]" = []


def find(text: str) -> "Spans":
    """Return where the values are."""
    if not _patterns:
        _patterns.append(_Patterns())
    known = _patterns[0]
    spans: Spans = []
    reader = _redact_values.Reader(text)
    at = 0
    # The character before a name may be the last one of what was read before.
    while (found := known.head.search(text, max(0, at - 1))) is not None:
        values = _of_head(text, found, reader, known.annotation)
        spans += values
        at = max([found.end("sign"), *(end for _, end in values)])
    at = 0
    while (found := known.option.search(text, max(0, at - 1))) is not None:
        values = reader.quoted(found.end(), "")
        if not values and not reader.is_quote(found.end()):
            values = reader.argument(found["key"], found.end())
        spans += values
        at = max([found.end(), *(end for _, end in values)])
    return spans


def _of_head(
    text: str, found: "Match[str]", reader: "_redact_values.Reader", annotation: "Pattern[str]"
) -> "Spans":
    sign, at, closed = found["sign"], found.end(), found["closed"]
    key, key_at, line = _key(found)
    if sign == ",":
        return _listed(text, reader.quoted(at, closed), found) if closed else []
    colon = sign in _COLONS
    if colon and (block := reader.block(at, key_at)) is not None:
        return [block]
    values = reader.quoted(at, closed)
    if values:
        start, end = values[0]
        value = text[start : min(end, start + 400)]
        prose = not closed and colon and _is_prose(key, key_at, text, value)
        return [] if prose or _redact_unquoted.is_special(key, value) else values
    if reader.is_quote(at):
        return []
    if sign[0] == "%":
        return reader.encoded(key, sign, at)
    strict = sign == "=" and found.end("closed") == found.start("sign") and found.end("sign") == at
    line = line or "\n" in sign
    value = reader.unquoted(key, key_at, at, not strict, colon, closed != "", line)
    if not value and colon and (typed := annotation.match(text, at)) is not None:
        return reader.quoted(typed.end(), "")
    return value


def _key(found: "Match[str]") -> "tuple[str, int, bool]":
    """The name, where it begins, and whether a line break in a `repr` stands before it."""
    key, at = found["key"], found.start("key")
    if found["before"] == "%" and len(key) > 5:
        return key[2:], at + 2, False
    if found["before"] == "\\" and key[0] in "nrt" and len(key) > 4:
        return key[1:], at + 1, True
    return key, at, False


def _listed(text: str, values: "Spans", found: "Match[str]") -> "Spans":
    """A pair stands in parentheses, an option in a list: in lists, names follow each other."""
    option = found["before"] == "-" and not (values and text.startswith("-", values[0][0]))
    return values if option or found["before"] == "(" or _is_pair(text, found) else []


def _is_pair(text: str, found: "Match[str]") -> bool:
    """`("password", …)`: a parenthesis stands before the quote of the name."""
    at = found.start("key")
    while at and text[at - 1] in "\"'\\`":
        at -= 1
    if at and text[at - 1] in "bru":
        at -= 1
    return at > 0 and text[at - 1] == "("


def _is_prose(key: str, at: int, text: str, value: str) -> bool:
    """`unknown token: 'transformer'`: a word, and not the value of a secret."""
    if len(value) < _MIN_AFTER_COLON:
        return True
    return _redact_unquoted.is_described(key, at, text) and not _redact_unquoted.is_strong(value)
