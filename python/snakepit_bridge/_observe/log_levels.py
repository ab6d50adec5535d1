"""Levels of Python's `logging` on the lines that a worker prints, for a host that reads them.

If a handler writes a record to the worker's standard output or error, each of its lines begins with
its level between two record separators. Nothing else changes: handlers, formats and levels are
those of the program, and a record that goes elsewhere stays as it is.
"""

from __future__ import annotations

from os import fstat

from .on_import import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import LogRecord, StreamHandler
    from types import ModuleType
    from typing import Any

_MARK = "\x1e"
_FIFO = 0o010000
_TYPE = 0o170000


def watch() -> None:
    """Mark the records of `logging`, once something imports it."""
    pipes = outputs()
    if not pipes:
        return
    when_imported("logging", lambda logging: _install(logging, pipes))


def outputs() -> set[tuple[int, int]]:
    """Return the pipes to the host, by device and inode."""
    found: set[tuple[int, int]] = set()
    for descriptor in (1, 2):
        try:
            status = fstat(descriptor)
        except OSError:
            continue
        if status.st_mode & _TYPE == _FIFO:
            found.add((status.st_dev, status.st_ino))
    return found


def _install(logging: ModuleType, outputs: set[tuple[int, int]]) -> None:
    handler = getattr(logging, "StreamHandler", None)
    if handler is None:
        return
    original = handler.emit

    def emit(self: StreamHandler[Any], record: LogRecord) -> None:
        if not is_output(self.stream, outputs):
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


def is_output(stream: Any, outputs: set[tuple[int, int]]) -> bool:
    try:
        status = fstat(stream.fileno())
    except Exception:
        return False
    return (status.st_dev, status.st_ino) in outputs
