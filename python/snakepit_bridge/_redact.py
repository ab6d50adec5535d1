"""Secrets in texts that leave the worker: messages of exceptions, `repr`s of values.

Best effort: `docs/security.md` states the rules, which the host has, too.
"""

MASK = "<redacted>"


def redact_secrets(text: str) -> str:
    """Return the text with `<redacted>` in place of what looks like a secret."""
    # Not for modules that only name this one: they are imported without the extension, too.
    from ._native import redact

    try:
        return redact(text)
    except UnicodeEncodeError:
        # Lone surrogates leave the worker as escapes, which may be a part of a secret.
        return redact(text.encode("utf-8", "backslashreplace").decode("utf-8"))
