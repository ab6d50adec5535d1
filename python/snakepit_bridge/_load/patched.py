"""Detection of libraries that have replaced Python's threads."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Functions that start real threads and create real locks.
_PARTS = {
    "_thread": ("start_new_thread", "start_joinable_thread", "allocate_lock"),
    "threading": ("_start_new_thread", "_start_joinable_thread", "_allocate_lock"),
}


def culprit() -> tuple[str, str] | None:
    """Return the library that has replaced threads, and the function; `None` if none has."""
    import sys

    for module, names in _PARTS.items():
        there: Any = sys.modules.get(module)
        for name in names:
            part = getattr(there, name, None)
            # CPython's own functions are written in C.
            if part is None or type(part).__name__ in ("builtin_function_or_method", "type"):
                continue
            library = str(getattr(part, "__module__", "") or type(part).__module__)
            return library.partition(".")[0], f"{module}.{name}"
    return None
