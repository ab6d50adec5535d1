"""Detection of files that would be imported in place of modules which the worker needs."""

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Modules of the standard library that the runtime imports at some time, and their imports.
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


#: The package itself, which processes that a tool starts need to find tools.
PACKAGE = "snakepit_bridge"


def first(folder: str) -> tuple[str, str] | None:
    """Return a file that shadows a module which the worker needs, and the module's file.

    `None` if there is none.
    """
    return next(_of(folder), None)


def first_on_path() -> tuple[str, str] | None:
    """Return such a file in a directory of the search path before the standard library.

    A module that is loaded already from its own file is not searched for.
    """
    library, own_folder = _library(), os.path.dirname(_package())
    found_package = False
    for entry in sys.path:
        folder = os.path.abspath(entry)
        if folder == library:
            break
        found_package = found_package or folder == own_folder
        for path, own in _of(folder):
            name = os.path.basename(path).partition(".")[0]
            if name == PACKAGE:
                if not found_package:
                    return path, own
            elif name not in sys.modules or _is_of(sys.modules[name], path):
                return path, own
    return None


def _of(folder: str) -> Iterator[tuple[str, str]]:
    library = _library()
    if os.path.abspath(folder) == library:
        return
    try:
        entries = os.listdir(folder)
    except OSError:
        return
    for entry in sorted(entries):
        name, _, ending = entry.partition(".")
        if (name not in NEEDED and name != PACKAGE) or ending not in ("", "py"):
            continue
        if name in sys.builtin_module_names:
            # A part of the interpreter, which no file can shadow.
            continue
        path = os.path.join(folder, entry)
        if not ending and not os.path.exists(os.path.join(path, "__init__.py")):
            continue
        if name == PACKAGE:
            if not ending and os.path.exists(os.path.join(path, "_boot.py")):
                # Another copy of the package, which serves as well.
                continue
            yield path, os.path.join(_package(), "__init__.py")
            continue
        own = _own(library, name)
        if own and not os.path.samefile(own, path):
            yield path, own


def _package() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _library() -> str:
    return os.path.dirname(os.path.abspath(os.__file__))


def _is_of(module: object, path: str) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and os.path.abspath(file).startswith(path)


def _own(library: str, name: str) -> str | None:
    """Return the file of a module of the standard library; `None` if it has none on the disk."""
    spec = PathFinder.find_spec(name, [library, os.path.join(library, "lib-dynload")])
    own = spec.origin if spec else None
    return own if own and os.path.exists(own) else None
