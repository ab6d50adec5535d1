"""Secrets in texts that leave the worker: messages of exceptions, `repr`s of values.

Best effort: `docs/security.md` states the rules, which the host has, too.
"""

from __future__ import annotations

MASK = "<redacted>"


def mask_secret(value: str | bytes | bytearray) -> bool:
    """Mask `value` wherever it stands from now on: in printed lines, logs, errors and stacks.

    Also its lines one by one, and as `repr`, JSON, URLs, HTML, shells and base64 write it. In a
    worker, and in a process that it has forked, it returns when the host masks what is printed from
    then on: `True`. Elsewhere it returns `False`, as it does where the host does not answer. Raises
    `ValueError` if the value has less than 4 characters, if it is bytes that are not UTF-8, or if
    there are more than 64 values or 8 KiB of them.
    """
    from ._native import mask_secret

    return mask_secret(value)


def redact_secrets(text: str) -> str:
    """Return the text with `<redacted>` in place of what looks like a secret."""
    # Not for modules that only name this one: they are imported without the extension, too.
    from ._native import redact

    try:
        return redact(text)
    except UnicodeEncodeError:
        # Lone surrogates leave the worker as escapes, which may be a part of a secret.
        return redact(text.encode("utf-8", "backslashreplace").decode("utf-8"))
