"""Values of elements whose name, or an attribute of theirs, is that of a secret."""

from . import _redact_named, _redact_unquoted, _redact_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

    Spans = list[tuple[int, int]]

_element: "list[Pattern[str]]" = []

_SPACE = " \t\r\n"


def find(text: str) -> "Spans":
    """Return where the values are."""
    if not _element:
        import re

        key = _redact_named.KEY
        # `<ns:password type="x">`, `<entry key="password">`, `<key>password</key><string>`.
        _element.append(
            re.compile(
                rf"(?:(?:<|&lt;)(?:[A-Za-z0-9_.-]{{1,40}}:)?(?P<name>{key})"
                r"(?:[ \t\r\n][^<>&]{0,200})?"
                rf"|<[A-Za-z][^<>]{{0,200}}?\\?[\"']{key}\\?[\"'][^<>]{{0,200}}"
                rf"|<[A-Za-z]{{1,20}}>{key}</[A-Za-z]{{1,20}}>[ \t\r\n]{{0,40}}<[A-Za-z]{{1,20}})"
                r"(?P<end>>|&gt;)",
                re.ASCII,
            )
        )
    spans: Spans = []
    at = 0
    while (found := _element[0].search(text, at)) is not None:
        at = found.end()
        opening = "<" if found["end"] == ">" else "&lt;"
        if not text.startswith(opening, found.start()):
            continue
        span = _value(text, at, opening)
        if span is None or _is_said(
            found["name"] or "", text[span[0] : min(span[1], span[0] + 400)]
        ):
            continue
        spans.append(span)
        at = span[1]
    return spans


def _value(text: str, at: int, opening: str) -> "tuple[int, int] | None":
    """The text up to the end of the element."""
    if text.startswith("<![CDATA[", at):
        start = at + 9
        end = text.find("]]>", start, _next(text, "</", start))
        return (start, end) if end > start else None
    end = text.find(opening, at)
    after = end + len(opening)
    if end < 0 or not text.startswith(("/", "\\/"), after):
        return None
    while at < end and text[at] in _SPACE:
        at += 1
    while end > at and text[end - 1] in _SPACE:
        end -= 1
    return (at, end) if at < end else None


def _next(text: str, what: str, at: int) -> int:
    end = text.find(what, at)
    return len(text) if end < 0 else end


def _is_said(name: str, value: str) -> bool:
    """A token of a text is no secret."""
    if _redact_values.is_template(value):
        return True
    return name.lower() == "token" and not _redact_unquoted.is_strong(value)
