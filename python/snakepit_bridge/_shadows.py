"""Files that would be imported in place of modules which the worker itself needs."""

import os
import sys
from _frozen_importlib_external import PathFinder

#: What the runtime imports of the standard library, sooner or later, and what that imports.
NEEDED = frozenset((
    "abc", "ast", "asyncio", "base64", "bisect", "codecs", "collections", "concurrent",
    "contextlib", "contextvars", "copyreg", "dataclasses", "datetime", "decimal", "difflib",
    "dis", "encodings", "enum", "errno", "fcntl", "fnmatch", "functools", "genericpath", "grp",
    "hashlib", "heapq", "importlib", "inspect", "io", "keyword", "linecache", "locale", "logging",
    "math", "numbers", "opcode", "operator", "os", "posixpath", "pwd", "queue", "random", "re",
    "reprlib", "select", "selectors", "shutil", "signal", "socket", "ssl", "stat", "string",
    "struct",
    "subprocess", "tempfile", "textwrap", "threading", "token", "tokenize", "traceback",
    "types", "typing", "uuid", "warnings", "weakref",
))  # fmt: skip


def first(folder: str) -> "tuple[str, str] | None":
    """A file of the folder that shadows a module which the worker needs, and the module's own file.

    `None` if there is none.
    """
    library = os.path.dirname(os.path.abspath(os.__file__))
    if os.path.abspath(folder) == library:
        return None
    try:
        entries = os.listdir(folder)
    except OSError:
        return None
    for entry in sorted(entries):
        name, _, ending = entry.partition(".")
        if name not in NEEDED or ending not in ("", "py"):
            continue
        if name in sys.builtin_module_names:
            # It is part of the interpreter, which looks at no file.
            continue
        path = os.path.join(folder, entry)
        if not ending and not os.path.exists(os.path.join(path, "__init__.py")):
            continue
        own = _own(library, name)
        if own and not os.path.samefile(own, path):
            return path, own
    return None


def _own(library: str, name: str) -> "str | None":
    """The file of a module of the standard library. `None` if it has none on the disk."""
    spec = PathFinder.find_spec(name, [library, os.path.join(library, "lib-dynload")])
    own = spec.origin if spec else None
    return own if own and os.path.exists(own) else None
