"""Where a value ends: at its quote, at the end of its word, of its line or of its block."""

from . import _redact_unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern

    Span = tuple[int, int]

#: Characters that end a word, unless another word is glued to them.
_STOPS = "\"'`,;&)}](["
#: Longest text before a name that is looked at, and longest line behind it.
_BEFORE, _LINE = 64, 4096
#: Longest word that is judged.
_WORD = 400


class _Patterns:
    def __init__(self) -> None:
        import re

        # A string literal begins: the type around it, its prefix and its quote.
        self.open = re.compile(
            r"(?:(?:(?i:secretstr|secretbytes|secret|password|str|bytes|bytearray|some)"
            r"|String::from)\([ \t]*|string\([0-9]{1,9}\)[ \t]+)?"
            r"(?:[bBrRuUfFtTnNlL]{1,2}|[$@])?(?P<slashes>\\{0,15})(?P<quote>[\"'`])",
            re.ASCII,
        )
        # The same quote as HTML, URLs and JSON escape it.
        self.entity = re.compile(r"(?:&(?:quot|apos|#3[49]|#x2[27]);|%(?:25){0,2}2[27]|\\u002[27])")
        # Blanks, also in a text that is in a string itself.
        self.gap = re.compile(r"(?:[ \t\r\n]|\\{1,8}[tnr])*")
        self.next_line = re.compile(r"[ \t]*\r?\n[ \t]*")
        # The string goes on behind the quote, as `pprint` breaks long ones.
        self.more = re.compile(
            r"[ \t]*(?:[+.][ \t]*)?(?:\\?\r?\n[ \t]+)?(?:[+.][ \t]*)?[bBrRuUfF]{0,2}"
        )
        # What may stand behind the last quote of a value.
        self.behind = re.compile(
            r"[ \t]*(?:[,}\]);:&|+>'\"`\\\r\n]|\Z|[A-Za-z_][A-Za-z0-9_.-]{0,40}[=:])"
        )
        # Code behind a quote that ends a string: `"password=" + value`.
        self.code = re.compile(
            r"[ \t]+[+%][ \t]|[ \t]*,[ \t]|\.format\(|\)+[;:,]?[ \t]*(?:[\r\n]|\Z)"
        )
        self.template = re.compile(
            r"(?:%[srd]|%\([A-Za-z_][A-Za-z0-9_]{0,60}\)[srd]|\{[A-Za-z0-9_.!:\[\]]{0,100}\}"
            r"|\$\{?[A-Z_][A-Z0-9_]{0,60}\}?|\{\{[ A-Za-z0-9_.|-]{0,100}\}\})\Z"
        )
        self.quotes = {quote: re.compile(rf"\\*{quote}") for quote in "\"'`"}
        self.word = re.compile(r"[^ \t\r\n\"'`,;&)}\]<(\[|]*")
        self.encoded = re.compile(r"[^ \t\r\n\"'`,;&)}\]<>]*")
        self.end_of_encoded = re.compile(r"%(?:25){0,2}(?:26|22|2[Cc]|7[Dd]|0[AaDd])")
        self.argument = re.compile(r"[^ \t\r\n\"',;)\]<-][^ \t\r\n\"',;)\]<]{3,}")
        self.name = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,40}[\"']?[=:]")
        self.line = re.compile(r"[^\r\n]*")
        self.next_name = re.compile(r"[ \t&;,]+[A-Za-z_][A-Za-z0-9_.-]{0,40}(?:=|:[ \t])")
        self.block = re.compile(
            r"(?:![^ \t\r\n]{1,40}[ \t]+)?[|>][+-]?[0-9]?[+-]?[ \t]*(?:#[^\n]*)?\r?\n"
        )
        # What may stand before a name that begins a line.
        self.line_start = re.compile(
            r"(?:.*[:\]>|][ \t]+)?[ \t]*(?:-[ \t]+)?"
            r"(?:(?:export|set|setenv|setx|declare|local|readonly|ENV|ARG|env)[ \t]+"
            r"(?:-[A-Za-z]{1,8}[ \t]+)?)?\Z"
        )


_patterns: "list[_Patterns]" = []


def _known() -> _Patterns:
    if not _patterns:
        _patterns.append(_Patterns())
    return _patterns[0]


def is_template(value: str) -> bool:
    """`{password}`, `${PASSWORD}`, `%s`: a place for a value."""
    return len(value) <= 130 and _known().template.match(value) is not None


def _closes(slashes: int, level: int) -> bool:
    """Whether a quote behind so many backslashes ends a string that is so deep in others."""
    while level and slashes % 2:
        slashes, level = (slashes - 1) // 2, level - 1
    return slashes % 2 == 0


def _own(slashes: int, level: int) -> int:
    """Backslashes that belong to the quote, and not to the value before it."""
    return min(slashes, (1 << level) - 1) if slashes % 2 else 0


def _end(match: "Pattern[str]", text: str, at: int) -> int:
    found = match.match(text, at)
    return at if found is None else found.end()


class Reader:
    """Reads the values of one text."""

    def __init__(self, text: str) -> None:
        self._known = _known()
        self._text = text
        #: Ends of strings that the text is known to have no more of.
        self._endless: set[str] = set()

    def is_quote(self, at: int) -> bool:
        """Whether a quote stands here."""
        return self._known.open.match(self._text, at) is not None

    def quoted(self, at: int, closed: str) -> "list[Span]":
        """The value in quotes that begins here, or in the next line; in parts, as it is written.

        `closed` is what stands behind the name.
        """
        text, known = self._text, self._known
        entity = known.entity.match(text, at)
        if entity is not None:
            span, _ = self._until(entity[0], entity.end())
            return [span] if span[0] < span[1] else []
        opening = known.open.match(text, at)
        if opening is None:
            opening = known.open.match(text, _end(known.gap, text, at))
        if opening is None:
            return []
        token, start = opening["slashes"] + opening["quote"], opening.end()
        if not closed and known.code.match(text, start) is not None:
            return []
        doubled = len(closed) == 2 and closed == token * 2
        spans: list[Span] = []
        while True:
            span, end = self._string(start, token, doubled)
            if span[0] < span[1]:
                spans.append(span)
            more = _end(known.more, text, end)
            if end == span[1] or not text.startswith(token, more):
                break
            start = more + len(token)
        if len(spans) == 1 and is_template(text[spans[0][0] : min(spans[0][1], spans[0][0] + 131)]):
            return []
        return spans

    def _string(self, start: int, token: str, doubled: bool) -> "tuple[Span, int]":
        """The inside of a string, and where what follows it begins."""
        text = self._text
        if doubled and text.startswith(token, start):
            return self._until(token * 2, start + len(token))
        if text.startswith(token * 2, start):
            return self._until(token * 3, start + 2 * len(token))
        quote, level = token[-1], (len(token) - 1).bit_length()
        key = f"{level}{quote}"
        if key in self._endless:
            return self._rest(start)
        skipped = glued = -1
        for found in self._known.quotes[quote].finditer(text, start):
            last = found.end() - 1
            count = last - found.start()
            if last == skipped or not _closes(count, level):
                continue
            if glued >= 0 and text.find("\n", glued, last) >= 0:
                break
            if self._goes_on(last + 1, count, level):
                glued = last
                continue
            # A doubled quote stands for one, as in SQL and YAML.
            if level == 0 and last > start and text.startswith(quote, last + 1):
                skipped = last + 1
                continue
            return (start, last - _own(count, level)), last + 1
        if glued >= 0:
            return (start, glued), glued + 1
        self._endless.add(key)
        return self._rest(start)

    def _goes_on(self, at: int, slashes: int, level: int) -> bool:
        """Whether a word follows the quote: it was not escaped, or its backslashes were."""
        if level == 0 and slashes:
            return self._known.behind.match(self._text, at) is None
        return self._glued(at)

    def _glued(self, at: int) -> bool:
        """Whether a word begins here."""
        following = self._text[at : at + 1]
        return following.isalnum() if following.isascii() else bool(following)

    def _until(self, token: str, start: int) -> "tuple[Span, int]":
        """A string that ends with these characters."""
        text = self._text
        if token not in self._endless:
            at = start
            while (at := text.find(token, at)) >= 0:
                before = at
                while before > start and text[before - 1] == "\\":
                    before -= 1
                if (at - before) % 2 == 0:
                    return (start, at), at + len(token)
                at += 1
            self._endless.add(token)
        return self._rest(start)

    def _rest(self, start: int) -> "tuple[Span, int]":
        """A string without an end is over with its line."""
        end = _end(self._known.line, self._text, start)
        return (start, end), end

    def block(self, at: int, key_at: int) -> "Span | None":
        """A block of YAML: the lines behind `|` that are deeper than the name."""
        text = self._text
        found = self._known.block.match(text, at)
        if found is None:
            return None
        depth = key_at - text.rfind("\n", 0, key_at) - 1
        start = end = -1
        line = found.end()
        while line < len(text):
            stop = text.find("\n", line)
            stop = len(text) if stop < 0 else stop
            first = line
            while first < stop and text[first] in " \t\r":
                first += 1
            if first < stop:
                if first - line <= depth:
                    break
                start = first if start < 0 else start
                end = stop
            line = stop + 1
        return (start, end) if start >= 0 else None

    def unquoted(
        self, key: str, key_at: int, at: int, loose: bool, colon: bool, closed: bool, line: bool
    ) -> "list[Span]":
        """A value without quotes: a word, or the line if the name begins one (`line` says so)."""
        text, known = self._text, self._known
        below = known.next_line.match(text, at) if colon else None
        if below is not None:
            end = _end(known.word, text, below.end())
            alone = end == len(text) or text[end] in "\r\n"
            secret = alone and _redact_unquoted.is_secret(
                key, text[below.end() : end], True, text, end
            )
            return [(below.end(), end)] if secret else []
        found = known.word.match(text, at, at + _WORD)
        end = at if found is None else found.end()
        word = text[at:end]
        if text.startswith(("=", ">", "~"), at):
            return []
        outer = text[key_at - 1] if key_at and not closed and text[key_at - 1] in "\"'" else ""
        begins = line or bool(outer) or self._begins_line(key_at)
        constant = begins and not loose and key == key.upper()
        # The name of the next value.
        named = word.endswith(("=", ":")) and _redact_unquoted.is_path(word[:-1])
        if named and not constant and text.startswith(('"', "'"), end):
            return []
        # So long is no word of prose or code.
        secret = end - at == _WORD or _redact_unquoted.is_secret(key, word, loose, text, end)
        code = text.startswith(("(", "["), end) and _redact_unquoted.is_path(word)
        if not secret and 0 < end - at < 4 and (longer := self._word_end(at, outer)) > end:
            judged = text[at : min(longer, at + _WORD)]
            secret = not code and _redact_unquoted.is_secret(key, judged, loose, text, longer)
        if not begins:
            return [(at, self._word_end(at, outer))] if secret else []
        if not (secret or constant or (word and _redact_unquoted.is_odd(key, word, loose))):
            return []
        stop = self._line_end(key_at, at, outer, not constant)
        if not secret and constant:
            setting = text[at : min(stop, at + _WORD)]
            if code or not _redact_unquoted.is_setting(key, word, setting):
                return []
        return [(at, stop if stop > at else end)]

    def _level(self, quote: int) -> int:
        """How deep in others the string is that begins with this quote."""
        at = quote
        while at > max(0, quote - 15) and self._text[at - 1] == "\\":
            at -= 1
        return (quote - at).bit_length()

    def _begins_line(self, key_at: int) -> bool:
        text = self._text
        first = max(0, key_at - _BEFORE)
        newline = max(text.rfind("\n", first, key_at), text.rfind("\r", first, key_at))
        if newline < 0 and first > 0:
            return False
        before = text[max(newline + 1, first) : key_at]
        return self._known.line_start.match(before) is not None

    def _line_end(self, key_at: int, at: int, outer: str, names: bool) -> int:
        """The end of a line, of the string that it is in, or, with `names`, of this pair."""
        text, known = self._text, self._known
        found = known.line.match(text, at, at + _LINE)
        end = at if found is None else found.end()
        level = self._level(key_at - 1) if outer else 0
        for quote in known.quotes[outer].finditer(text, at, end) if outer else ():
            last = quote.end() - 1
            count = last - quote.start()
            if _closes(count, level) and not self._glued(last + 1):
                end = last - _own(count, level)
                break
        if outer or text.startswith(("\\n", "\\r", "\\t"), max(0, key_at - 2)):
            escaped = text.find("\\n", at, end)
            end = escaped if escaped >= 0 else end
        if names:
            following = known.next_name.search(text, at, end)
            end = end if following is None else following.start()
        while end > at and text[end - 1] in " \t":
            end -= 1
        return end

    def _word_end(self, at: int, outer: str) -> int:
        """The end of a word, with what is glued to it by punctuation."""
        text, known = self._text, self._known
        while True:
            at = _end(known.word, text, at)
            stop = text[at : at + 1]
            if not stop or stop not in _STOPS or stop == outer:
                return at
            if not self._glued(at + 1) or known.name.match(text, at + 1) is not None:
                return at
            at += 1

    def encoded(self, key: str, sign: str, at: int) -> "list[Span]":
        """The value of a pair in a query that is escaped once more: up to its `%26`."""
        end = _end(self._known.encoded, self._text, at)
        # What is escaped more often than the sign belongs to the value.
        for found in self._known.end_of_encoded.finditer(self._text, at, end):
            if found.end() - found.start() <= len(sign):
                end = found.start()
                break
        word = self._text[at : min(end, at + _WORD)]
        return [(at, end)] if _redact_unquoted.is_secret(key, word, False, "", 0) else []

    def argument(self, key: str, at: int) -> "list[Span]":
        """The word behind an option."""
        text = self._text
        found = self._known.argument.match(text, at)
        if found is None:
            return []
        word = text[at : min(found.end(), at + _WORD)]
        sure = len(word) >= 12 or any("0" <= char <= "9" for char in word)
        secret = sure and _redact_unquoted.is_secret(key, word, False, text, found.end())
        return [(at, self._word_end(at, ""))] if secret else []
