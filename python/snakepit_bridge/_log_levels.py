"""Levels of Python's `logging` on the lines that a worker prints, for a host that reads them.

A record that a handler writes to the worker's standard output or error gets its level before each
of its lines, between two record separators. Nothing else changes: handlers, formats and levels are
those of the program, and a record that goes elsewhere stays as it is.
"""

import sys
from os import fstat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MARK = "\x1e"
_FIFO = 0o010000
_TYPE = 0o170000


def watch() -> None:
    """Mark the records of `logging`, as soon as something imports it."""
    outputs = _outputs()
    if not outputs:
        return
    loaded = sys.modules.get("logging")
    if loaded is not None:
        _install(loaded, outputs)
    else:
        finder: Any = _Finder(outputs)
        sys.meta_path.insert(0, finder)


def _outputs() -> "set[tuple[int, int]]":
    """The pipes to the host, by device and inode."""
    found: set[tuple[int, int]] = set()
    for descriptor in (1, 2):
        try:
            status = fstat(descriptor)
        except OSError:
            continue
        if status.st_mode & _TYPE == _FIFO:
            found.add((status.st_dev, status.st_ino))
    return found


class _Finder:
    """Finds `logging` as all others do, and is told when it has been executed."""

    def __init__(self, outputs: "set[tuple[int, int]]") -> None:
        self._outputs = outputs

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if name != "logging":
            return None
        own: Any = self
        if own in sys.meta_path:
            sys.meta_path.remove(own)
        for finder in list(sys.meta_path):
            spec: Any = finder.find_spec(name, path, target)
            if spec is not None:
                self._follow(spec.loader)
                return spec
        return None

    def _follow(self, loader: "Any") -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: "Any") -> None:
            execute(module)
            _install(module, self._outputs)

        try:
            loader.exec_module = exec_module
        except AttributeError:
            # A loader of a kind that takes no attributes: the levels are not known then.
            return


def _install(logging: "Any", outputs: "set[tuple[int, int]]") -> None:
    handler = getattr(logging, "StreamHandler", None)
    if handler is None:
        return
    original = handler.emit

    def emit(self: "Any", record: "Any") -> None:
        if not _is_output(self.stream, outputs):
            original(self, record)
            return
        try:
            mark = f"{_MARK}{min(max(int(record.levelno), 0), 99)}{_MARK}"
            text = self.format(record).replace("\n", f"\n{mark}")
            self.stream.write(mark + text + self.terminator)
            self.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    handler.emit = emit


def _is_output(stream: "Any", outputs: "set[tuple[int, int]]") -> bool:
    try:
        status = fstat(stream.fileno())
    except Exception:
        return False
    return (status.st_dev, status.st_ino) in outputs
