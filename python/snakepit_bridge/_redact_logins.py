"""Passwords beside the names of their users: in URLs, of `curl -u`, behind the scheme `Basic`."""

from . import _redact_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Match, Pattern

    Span = tuple[int, int]
    Spans = list[Span]


class _Patterns:
    def __init__(self) -> None:
        import re

        # `https://user:`, also with slashes as JSON may escape them.
        self.url = re.compile(
            r"(?:^|[^A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{0,20}:\\?/\\?/"
            r"[^ \t\r\n/:@\"'`?#<>\\]{0,200}:",
            re.ASCII,
        )
        self.run = re.compile(r"[^ \t\r\n\"'`<>]*")
        # The same as a part of another URL.
        self.encoded = re.compile(
            r"%3[Aa]%2[Ff]%2[Ff][^ \t\r\n\"'/:@%&]{0,200}%3[Aa]"
            r"(?P<value>[^ \t\r\n\"'/:@&]{1,200}?)%40"
        )
        # `curl -u user:password`, also as a list of arguments.
        self.user = re.compile(
            r"[ \t\r\n\"'](?:-u|--user)(?:[\"'],[ \t]{0,4}|[ \t]{1,8}|=)(?P<quote>[\"']?)"
            r"[^ \t\r\n:/\"']{1,200}:"
        )
        self.argument = re.compile(r"[^ \t\r\n\"']*")
        self.basic = re.compile(
            r"(?:^|[^A-Za-z0-9])(?i:basic)(?:[ \t]{1,8}|%20|\+)"
            r"(?P<value>[A-Za-z0-9+/_-]{4,}={0,2})"
        )


_patterns: "list[_Patterns]" = []


def find(text: str) -> "Spans":
    """Return where the passwords are."""
    if not _patterns:
        _patterns.append(_Patterns())
    known = _patterns[0]
    spans: Spans = []
    if "://" in text or "/\\/" in text:
        spans += _all(text, known.url, lambda found: _of_url(text, found.end(), known.run))
    if "%3" in text:
        spans += [found.span("value") for found in known.encoded.finditer(text)]
    if "-u" in text:
        spans += _all(text, known.user, lambda found: _of_user(text, found, known.argument))
    for found in known.basic.finditer(text):
        if _is_login(found["value"]):
            spans.append(found.span("value"))
    return spans


def _all(
    text: str, pattern: "Pattern[str]", read: "Callable[[Match[str]], Span | None]"
) -> "Spans":
    spans: Spans = []
    at = 0
    while (found := pattern.search(text, at)) is not None:
        at = found.end()
        span = read(found)
        if span is not None:
            spans.append(span)
            at = span[1]
    return spans


def _of_url(text: str, at: int, run: "Pattern[str]") -> "Span | None":
    """The password up to the last `@` before the host; it may have any of `@:/` itself."""
    other = text.find("://", at)
    found = run.match(text, at, len(text) if other < 0 else other)
    stop = at if found is None else found.end()
    path = min([place for char in "/?#" if (place := text.find(char, at, stop)) >= 0], default=stop)
    if text.find("@", at, path) >= 0:
        query = [place for char in "?#" if (place := text.find(char, path, stop)) >= 0]
        end = text.rfind("@", at, min(query, default=stop))
        return (at, end) if end > at and not _redact_values.is_template(text[at:end]) else None
    # No `@` before the path: a port, or a password with a slash.
    end = text.rfind("@", at, stop)
    if end <= path or path == at or all("0" <= char <= "9" for char in text[at:path]):
        return None
    letters = all(not char.isascii() or char.isalpha() or char in "/._-" for char in text[at:end])
    return None if letters else (at, end)


def _of_user(text: str, found: "Match[str]", word: "Pattern[str]") -> "Span | None":
    at, quote = found.end(), found["quote"]
    end = text.find(quote, at) if quote else -1
    if end < 0:
        plain = word.match(text, at)
        end = at if plain is None else plain.end()
    return (at, end) if end > at else None


def _is_login(value: str) -> bool:
    """Whether it is the base64 of `user:password`."""
    import binascii

    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        login = binascii.a2b_base64(plain + "=" * (-len(plain) % 4))
    except ValueError:
        return False
    return b":" in login and all(byte >= 0x20 and byte != 0x7F for byte in login)
