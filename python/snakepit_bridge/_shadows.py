"""Files that would be imported in place of modules which the worker itself needs."""

import os
import sys

#: What the runtime imports of the standard library, sooner or later, and what that imports.
NEEDED = frozenset((
    "abc", "ast", "asyncio", "base64", "bisect", "codecs", "collections", "concurrent",
    "contextlib", "contextvars", "copyreg", "dataclasses", "datetime", "decimal", "difflib",
    "dis", "encodings", "enum", "errno", "fnmatch", "functools", "genericpath", "hashlib",
    "heapq", "importlib", "inspect", "io", "keyword", "linecache", "locale", "logging",
    "numbers", "opcode", "operator", "os", "posixpath", "queue", "random", "re", "reprlib",
    "selectors", "shutil", "signal", "socket", "ssl", "stat", "string", "struct",
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
        path = os.path.join(folder, entry)
        if not ending and not os.path.exists(os.path.join(path, "__init__.py")):
            continue
        own = getattr(sys.modules.get(name), "__file__", None) or _in(library, name)
        if own and not os.path.samefile(own, path):
            return path, own
    return None


def _in(library: str, name: str) -> str:
    package = os.path.join(library, name, "__init__.py")
    return package if os.path.exists(package) else os.path.join(library, f"{name}.py")
