"""Values without quotes, as in `password=correcthorse`: secrets, code or prose.

With a digit a value has at least 4 characters, or 6 behind a weak name. Without one it has at
least 4, or 16 behind a weak name, is no word of `_WORDS`, no name of a secret and no part of an
expression, and ends the statement where the sign is a colon or has spaces around it.
"""

#: Names that stand in prose, too, as in `unexpected token: NAME`.
_WEAK = frozenset(("token", "secret", "credential", "credentials"))
#: Values that say something about a secret.
_WORDS = frozenset(
    (
        *("accepted", "any", "authentication", "bool", "bytes", "changed", "default", "denied"),
        *("disabled", "empty", "enabled", "expected", "expired", "failed", "false", "field"),
        *("forbidden", "given", "hidden", "incorrect", "invalid", "masked", "mismatch", "missing"),
        *("must", "none", "null", "object", "optional", "rejected", "required", "secretstr"),
        *("should", "str", "string", "text", "true", "unauthorized", "undefined", "unknown"),
        *("unset", "updated", "valid", "wrong"),
    )
)
#: What a name of a secret ends with.
_NAMES = frozenset(
    (
        *("password", "passwd", "passphrase", "pwd", "pass", "pw", "secret", "token", "key"),
        *("apikey", "credential", "credentials", "auth"),
    )
)
_GLUED = ("password", "passwd", "secret", "token", "apikey")
#: Names before the last one of a path in programs.
_OWNERS = frozenset(
    (
        *("self", "cls", "args", "kwargs", "config", "cfg", "conf", "settings", "options", "opts"),
        *("os", "env", "request", "params"),
    )
)
#: Words before a bare name of the weak ones: it is about a token of a language, or in prose.
_DESCRIBING = frozenset(
    (
        *("bad", "current", "duplicate", "each", "expected", "first", "illegal", "invalid", "last"),
        *(
            "missing",
            "new",
            "next",
            "no",
            "previous",
            "reserved",
            "special",
            "stray",
            "the",
            "this",
        ),
        *("undefined", "unexpected", "unknown", "unmatched", "unrecognised", "unrecognized"),
        *("unsupported", "unterminated", "wrong"),
    )
)
#: Words before `token` in names of what language models and parsers call so.
_SPECIAL = frozenset(
    (
        *("audio", "begin", "bos", "cls", "cur", "current", "decoder", "end", "eos", "first"),
        *("image", "last", "lookahead", "mask", "max", "min", "next", "num", "pad", "peek"),
        *("prev", "previous", "sep", "special", "start", "stop", "sub", "unk", "video", "word"),
    )
)
_DIGITS = frozenset("0123456789")
#: Characters that words of prose do not have.
_ODD = frozenset("@#$%^*!+?~\\=")
_ENDS = frozenset("\n\r\"',;)}]|<&")
#: What templates begin with.
_TEMPLATES = ("${", "$(", "{{", "%(")
#: Longest part of a value that is looked at.
_LOOKED_AT = 200


def is_secret(key: str, value: str, loose: bool, text: str, end: int) -> bool:
    """Return whether the value, which ends at `end` of the text, is taken for a secret."""
    key, start = key.lower(), value.rstrip(".!?")[:_LOOKED_AT]
    lower = start.lower()
    weak = key in _WEAK
    length, digits = len(start), sum(char in _DIGITS for char in start)
    if is_said(start) or is_special(key, start):
        return False
    if _is_directory(key, start) or not any(map(_of_words, start)):
        return False
    path = is_path(lower)
    if path and text[end : end + 1] in ("(", "["):
        return False
    if digits:
        return not _is_count(key, start) and length >= (6 if weak else 4)
    if path and _names_a_secret(lower):
        return False
    # So long is no word of prose.
    if loose and len(value) < _LOOKED_AT and not _ends(text, end):
        return False
    if weak:
        return length >= 16 and not (path and "_" in lower)
    return length >= 4


def is_said(value: str) -> bool:
    """A word about a secret, a place for one, or an expression."""
    lower = value.rstrip(".!?")[:_LOOKED_AT].lower()
    parts = lower.split(".")
    if lower in _WORDS or lower.startswith(_TEMPLATES) or _is_field(lower):
        return True
    return len(parts) > 1 and is_path(lower) and not _OWNERS.isdisjoint(parts)


def is_special(key: str, value: str) -> bool:
    """`pad_token`, `next_token`: no secret, unless its value looks like one."""
    words = key.lower().replace("-", "_").rsplit("_", 2)
    if len(words) < 2 or words[-1] != "token" or words[-2].rpartition(".")[2] not in _SPECIAL:
        return False
    return len(value) < 24 or (len(value) < _LOOKED_AT and _DIGITS.isdisjoint(value))


def is_described(key: str, at: int, text: str) -> bool:
    """Whether the name at this place of the text is weak and stands behind a word about it."""
    if key.lower() not in _WEAK:
        return False
    end = at
    while end and text[end - 1] in " \t":
        end -= 1
    start = end
    while start > max(0, end - 20) and text[start - 1].isascii() and text[start - 1].isalpha():
        start -= 1
    return start < end < at and text[start:end].lower() in _DESCRIBING


def is_strong(value: str) -> bool:
    """What is a secret also behind a weak name."""
    start = value[:_LOOKED_AT]
    length = len(start)
    if not _DIGITS.isdisjoint(start) or length == _LOOKED_AT:
        return length >= 6
    return length >= 16 and " " not in start


def is_odd(key: str, value: str, loose: bool) -> bool:
    """Whether the first word of a line is no word of prose or of code."""
    start = value.rstrip(".!?")[:_LOOKED_AT]
    if not loose or len(start) < 4 or key.lower() in _WEAK or is_said(start):
        return False
    return not _ODD.isdisjoint(start) and any(map(_of_words, start))


def is_setting(key: str, word: str, line: str) -> bool:
    """`DB_PASSWORD=my dog`: whatever the line of an environment has is the value."""
    key = key.lower()
    if is_said(word) or is_special(key, line) or _is_directory(key, word) or _is_count(key, line):
        return False
    return len(line) >= 4 and any(map(_of_words, line))


def _is_directory(key: str, start: str) -> bool:
    return key.endswith("pwd") and "_" not in key and start.startswith(("/", "~", "."))


def _is_count(key: str, start: str) -> bool:
    """The number of tokens is no secret."""
    return key.endswith("token") and len(start) <= 8 and _DIGITS.issuperset(start)


def _of_words(char: str) -> bool:
    return char.isalnum() if char.isascii() else True


def _is_field(lower: str) -> bool:
    """`{password}`, `{password!r`: a field of a format, perhaps without its end."""
    return lower[:1] == "{" and all(
        _of_words(char) or char in "_.!:" for char in lower[1:].rstrip("}")
    )


def _names_a_secret(lower: str) -> bool:
    """`args.password`, `db_pwd`, `authToken`: a name stands where the secret would."""
    words = [word for word in lower.replace(".", "_").split("_") if word]
    return bool(words) and (words[-1] in _NAMES or words[-1].endswith(_GLUED))


def is_path(text: str) -> bool:
    """Names with dots between them."""
    return text.isascii() and all(map(str.isidentifier, text.split(".")))


def _ends(text: str, end: int) -> bool:
    """Whether nothing follows, or punctuation, or the name of the next value."""
    while end < len(text) and text[end] in " \t":
        end += 1
    rest = text[end : end + 41]
    if not rest or rest[0] in _ENDS:
        return True
    word = 0
    while word < len(rest) and (_of_words(rest[word]) or rest[word] in "_-."):
        word += 1
    return word > 0 and rest[word : word + 1] in (":", "=")
