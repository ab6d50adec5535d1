"""The values of `Authorization` and `Cookie`, in headers, dictionaries and log lines."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

#: Schemes that are followed by one word.
_SCHEMES = frozenset(
    (
        *("basic", "bearer", "negotiate", "ntlm", "apikey", "api-key", "key", "token", "jwt"),
        *("bot", "privatetoken", "dpop", "sharedkey"),
    )
)
#: Schemes that are followed by several values.
_WITH_VALUES = frozenset(
    (
        *("digest", "oauth", "hawk", "signature", "vapid", "mutual", "gnap"),
        "sharedaccesssignature",
    )
)

MASK = "<redacted>"

_head: "list[Pattern[str]]" = []
_word: "list[Pattern[str]]" = []
_line: "list[Pattern[str]]" = []
_jars: "list[Pattern[str]]" = []


def find(text: str) -> "list[tuple[int, int]]":
    """Return where the values are."""
    if not _head:
        import re

        # The name and what is between it and the value.
        _head.append(
            re.compile(
                r"(?:(?P<authorization>authorization)|(?:(?<![a-z0-9])|(?<=\\[nrt]))(?P<cookie>(?:set-)?cookie))"
                r"(?P<quote>\\?[\"']?)\]?\s{0,8}(?P<sign>=>|[:=,])\s{0,8}(?:b?(?P<open>\\?[\"']))?",
                re.IGNORECASE,
            )
        )
        _word.append(re.compile(r"[ \t]*([^\s\"',;)}\]<]*)"))
        # The end of a header without quotes: of the line, also of one in a `repr`.
        _line.append(re.compile(r"[\r\n]|\\r\\n|\\n|\Z"))
    spans = _in_jars(text)
    at, line = 0, -1
    while (found := _head[0].search(text, at)) is not None:
        at = found.end()
        quote, opening = found["quote"], found["open"] or ""
        # `("Cookie", "…")` is a pair, `cookie, …` is prose.
        if found["sign"] == "," and not (quote and opening):
            continue
        start = found.start("cookie" if found["authorization"] is None else "authorization")
        outer = text[start - 1] if start and not quote and text[start - 1] in "\"'" else ""
        if line < at:
            line = _end(text, at)
        end = line
        if opening:
            end = text.find(opening, at)
        elif outer:
            end = text.find(outer, at)
            newline = text.find("\n", at, len(text) if end < 0 else end)
            end = newline if newline >= 0 else end
        if end < 0:
            end = len(text)
        if found["authorization"] is None:
            span = _cookie(text, at, end)
        else:
            span = _authorization(text, at, end, bool(opening or outer))
        if span is not None:
            spans.append(span)
            at = max(at, span[1])
    return spans


def _in_jars(text: str) -> "list[tuple[int, int]]":
    """Cookies as libraries hold them: a dictionary `cookies`, and the `repr`s of their classes."""
    if not _jars:
        import re

        _jars.append(
            re.compile(
                r"(?i:cookies)(?:\\{0,3}[\"'])?\]?[ \t]*[:=][ \t]*\{(?P<all>[^{}]+)(?:\}|$)"
                r"|<(?:Simple|Base)Cookie: (?P<simple>[^<>]+)>"
                r"|<Morsel: (?P<morsel>[^<>]+)>"
                r"|<Cookie [^ =<>]{1,100}=(?P<one>[^ <>]+) for "
                r"|Cookie\((?:[a-z_]{1,20}=[^,()]{0,100}, ?){0,4}value="
                r"(?P<value>'[^'\r\n]*'|\"[^\"\r\n]*\")",
                re.ASCII,
            )
        )
    spans: list[tuple[int, int]] = []
    for found in _jars[0].finditer(text):
        start, end = found.span(found.lastgroup or 0)
        if found.lastgroup == "value":
            start, end = start + 1, end - 1
        if start < end:
            spans.append((start, end))
    return spans


def _end(text: str, at: int) -> int:
    found = _line[0].search(text, at)
    return len(text) if found is None else found.start()


def _trimmed(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end


def _cookie(text: str, start: int, end: int) -> "tuple[int, int] | None":
    """A cookie has a name and a value."""
    name = start
    while name < min(end, start + 200) and text[name] not in "=;," and not text[name].isspace():
        name += 1
    if name == start or name >= end or text[name] != "=":
        return None
    return start, _trimmed(text, start, end)


def _authorization(text: str, start: int, end: int, quoted: bool) -> "tuple[int, int] | None":
    """Keep the scheme and mask what follows it."""
    first = _span(text, start, end)
    second = _span(text, first[1], end)
    scheme = text[first[0] : min(first[1], first[0] + 40)].lower()
    many = scheme in _WITH_VALUES or scheme.startswith("aws")
    if text.startswith(MASK, first[0]) or text.startswith(MASK, second[0]):
        return None
    everything = _trimmed(text, start, end)
    if second[0] == second[1] or second[0] == first[1]:
        stop = everything if quoted else first[1]
        return (first[0], stop) if first[1] - first[0] >= 4 else None
    if quoted or many:
        return second[0], everything
    value = text[second[0] : second[1]]
    long = len(value) >= 8 or any(map(str.isdigit, value))
    if scheme in _SCHEMES:
        return second if len(value) >= 4 else None
    if long:
        digits = any(map(str.isdigit, scheme))
        return (first[0] if digits else second[0]), second[1]
    return first if first[1] - first[0] >= 4 else None


def _span(text: str, at: int, end: int) -> "tuple[int, int]":
    found = _word[0].match(text, at, end)
    return (at, at) if found is None else found.span(1)
