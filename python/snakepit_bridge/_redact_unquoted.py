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
_DIGITS = frozenset("0123456789")
_ENDS = frozenset("\n\r\"',;)}]|<&")
#: Longest part of a value that is looked at.
_LOOKED_AT = 200


def is_secret(key: str, value: str, loose: bool, text: str, end: int) -> bool:
    """Return whether the value, which ends at `end` of the text, is taken for a secret."""
    key, start = key.lower(), value.rstrip(".!?")[:_LOOKED_AT]
    lower = start.lower()
    weak = key in _WEAK
    length, digits = len(start), sum(char in _DIGITS for char in start)
    directory = key.endswith("pwd") and "_" not in key and start.startswith(("/", "~", "."))
    template = start.startswith(("${", "$(", "{{", "%("))
    if directory or template or not any(map(str.isalnum, start)):
        return False
    path = _is_path(lower)
    if path and text[end : end + 1] in ("(", "["):
        return False
    if digits:
        # The number of tokens is none.
        count = digits == length <= 8 and key.endswith("token")
        return not count and length >= (6 if weak else 4)
    parts = lower.split(".")
    if lower in _WORDS or (path and _names_a_secret(lower)):
        return False
    if path and len(parts) > 1 and not _OWNERS.isdisjoint(parts):
        return False
    if loose and not _ends(text, end):
        return False
    if weak:
        return length >= 16 and not (path and "_" in lower)
    return length >= 4


def _names_a_secret(lower: str) -> bool:
    """`args.password`, `db_pwd`, `authToken`: a name stands where the secret would."""
    words = [word for word in lower.replace(".", "_").split("_") if word]
    return bool(words) and (words[-1] in _NAMES or words[-1].endswith(_GLUED))


def _is_path(text: str) -> bool:
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
    while word < len(rest) and (rest[word].isalnum() or rest[word] in "_-."):
        word += 1
    return word > 0 and rest[word : word + 1] in (":", "=")
