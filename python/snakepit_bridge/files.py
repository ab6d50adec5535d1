"""Adapter files whose names cannot be module names: children of multiprocessing find them here.

The module of such a file is named `snakepit_bridge.files.` followed by the path as an identifier.
So a child that unpickles one of its functions, and knows nothing of the worker, imports the file.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: This module is a package without a directory.
__path__: list[str] = []

PREFIX = f"{__name__}."


def module_name(path: str) -> str:
    """Return the name of the module of the file at an absolute path."""
    out: list[str] = []
    for char in path:
        if char.isascii() and char.isalnum():
            out.append(char)
        else:
            out.append("__" if char == "_" else f"_x{ord(char):x}_")
    return PREFIX + "f" + "".join(out)


def path_of(name: str) -> str | None:
    """Return the path of the file with this module name; `None` for other names."""
    if not name.startswith(PREFIX + "f"):
        return None
    text = name[len(PREFIX) + 1 :]
    out: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "_":
            out.append(text[at])
            at += 1
        elif text[at : at + 2] == "__":
            out.append("_")
            at += 2
        else:
            end = text.find("_", at + 1)
            if end < 0 or text[at + 1 : at + 2] != "x":
                return None
            try:
                out.append(chr(int(text[at + 2 : end], 16)))
            except ValueError:
                return None
            at = end + 1
    return "".join(out)


class _Finder:
    """A finder of the modules of files by their names."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        file = path_of(name)
        if file is None:
            return None
        import _frozen_importlib_external as files  # pyright: ignore[reportMissingImports]

        return files.spec_from_file_location(name, file)


sys.meta_path.append(_Finder)  # pyright: ignore[reportArgumentType]
