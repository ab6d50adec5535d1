"""Threads of Python that a library has replaced by something else."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What starts real threads, and makes real locks.
_PARTS = {
    "_thread": ("start_new_thread", "start_joinable_thread", "allocate_lock"),
    "threading": ("_start_new_thread", "_start_joinable_thread", "_allocate_lock"),
}


def culprit() -> "tuple[str, str] | None":
    """The library that has replaced threads, and what it has replaced; `None` if none has."""
    import sys

    for module, names in _PARTS.items():
        there: Any = sys.modules.get(module)
        for name in names:
            part = getattr(there, name, None)
            # What CPython has there is written in C.
            if part is None or type(part).__name__ in ("builtin_function_or_method", "type"):
                continue
            library = str(getattr(part, "__module__", "") or type(part).__module__)
            return library.partition(".")[0], f"{module}.{name}"
    return None
