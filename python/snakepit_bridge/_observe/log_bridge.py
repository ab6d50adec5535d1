"""Python's `logging` as log records of the host, instead of text on the worker's output.

The bridge acts as a handler of the root logger that takes every record which reaches it, without
being in its list of handlers. So `basicConfig`, `dictConfig` and loops over `handlers` in user code
work as in any program, and do not remove it. A handler that would write a record to the worker's
output passes it to the bridge instead, also for a logger that does not propagate; handlers that
write elsewhere are left alone. While the host takes no records, everything works as without the
bridge.
"""

from __future__ import annotations

from time import time_ns

from .._serve import errors
from . import correlation as _correlation, fields, log_levels, sink, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger, LogRecord, StreamHandler
    from types import ModuleType
    from typing import Any

#: Mark of a record that the bridge has handled; formatters leave out such names.
_MARK = "_snakepit"
_MAX_MESSAGE = 6 * 1024
_MAX_EXCEPTION = 6 * 1024
_ERROR = 40
#: Most records nested in the formatting of another record's arguments.
_MAX_DEPTH = 4

#: Attributes that every record has.
_USUAL = frozenset(
    (
        *("args", "asctime", "correlation_id", "created", "exc_info", "exc_text", "filename"),
        *("funcName", "levelname", "levelno", "lineno", "message", "module", "msecs", "msg"),
        *("name", "pathname", "process", "processName", "relativeCreated", "stack_info"),
        *("taskName", "thread", "threadName"),
    )
)


class Bridge:
    """State that the patched methods of `logging` share."""

    def __init__(self, logging: ModuleType) -> None:
        """Patch the module; a process has one bridge."""
        from _thread import _local

        self._logging = logging
        self._pipes = log_levels.outputs()
        self._busy = _local()
        #: Levels of loggers before the host has set them.
        self._former: dict[str, int] = {}
        self._levels: dict[str, int] = {}
        #: Settings whose levels could not be applied yet.
        self._late: sink.Settings | None = None
        self._patch()
        sink.listen(self._set_levels)

    def _patch(self) -> None:
        bridge, logging = self, self._logging
        root = logging.root
        call_handlers = logging.Logger.callHandlers
        emit = logging.StreamHandler.emit

        def callHandlers(self: Logger, record: LogRecord) -> None:
            if sink.is_attached() and _reaches(self, root):
                bridge.take(record)
            call_handlers(self, record)

        def stream_emit(self: StreamHandler[Any], record: LogRecord) -> None:
            if self is logging.lastResort and _MARK in record.__dict__:
                # There is a handler: the bridge.
                return
            if (
                sink.is_attached()
                and log_levels.is_output(self.stream, bridge._pipes)
                and bridge.take(record)
            ):
                return
            emit(self, record)

        logging.Logger.callHandlers = callHandlers
        logging.StreamHandler.emit = stream_emit

    def take(self, record: LogRecord) -> bool:
        """Send a record to the host; return `False` if it takes none: it is printed then."""
        try:
            if _MARK in record.__dict__:
                return True
            settings = sink.settings()
            if self._late is not None:
                self._set_levels(settings)
            if not settings.enabled:
                return False
            depth = getattr(self._busy, "depth", 0)
            record.__dict__[_MARK] = True
            if depth >= _MAX_DEPTH or not self._wanted(record, settings):
                return True
            self._busy.depth = depth + 1
            try:
                self._send(record)
            finally:
                self._busy.depth = depth
        except Exception as error:
            sink.warn("log", f"a log record cannot be sent: {type(error).__name__}: {error}")
        return True

    def _wanted(self, record: LogRecord, settings: sink.Settings) -> bool:
        name = str(record.name)
        if settings.levels:
            level = _level(name, settings.levels)
            if level is not None and record.levelno < level:
                return False
        if settings.allow or settings.deny:
            return settings.allows(name)
        return True

    def _send(self, record: LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception as error:
            # The arguments do not fit the message: both are shown.
            shown = (fields.text(record.msg), fields.text(_Shown(record.args)))
            message = f"{shown[0]} {shown[1]} [{type(error).__name__}: {fields.text(error)}]"
        outer, trace, call, _ = span.here()
        sink.put(
            sink.LOG,
            {
                "at_ns": int(record.created * 1_000_000_000) or time_ns(),
                "level": int(record.levelno),
                "logger": sink.clip(fields.text(record.name), 255),
                "message": fields.text(message, _MAX_MESSAGE),
                "exception": _exception(record),
                "attributes": _attributes(record),
                "call": call,
                "trace": trace if outer is None else outer.context,
            },
        )
        if record.levelno >= _ERROR:
            # The next instruction may end the process.
            sink.hurry()

    def _set_levels(self, settings: sink.Settings) -> None:
        """Apply the host's levels to loggers; restore those of loggers that it no longer names."""
        # This thread may hold the lock of a handler while another thread holds this one and waits
        # for it.
        lock = self._logging._lock
        if not lock.acquire(blocking=False):
            self._late = settings
            return
        try:
            self._late = None
            self._set_levels_locked(settings.levels if settings.enabled else {})
        finally:
            lock.release()

    def _set_levels_locked(self, wanted: dict[str, int]) -> None:
        get = self._logging.getLogger
        for name, level in self._levels.items():
            if name not in wanted:
                logger, former = get(name or None), self._former.pop(name, 0)
                # Other code may have set the level meanwhile.
                if logger.level == level:
                    logger.setLevel(former)
        for name, level in wanted.items():
            logger = get(name or None)
            self._former.setdefault(name, logger.level)
            if self._levels.get(name) != level:
                logger.setLevel(level)
        self._levels = dict(wanted)


class _Shown:
    """A value whose text is its `repr`."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return repr(self._value)


def _reaches(logger: Logger | None, root: Logger) -> bool:
    """Return whether records of a logger reach the handlers of the root logger."""
    while logger is not None:
        if logger is root:
            return True
        if not logger.propagate:
            return False
        logger = logger.parent
    return False


def _level(name: str, levels: dict[str, int]) -> int | None:
    """Return the level of a logger, or of its nearest ancestor that has one."""
    while name:
        if name in levels:
            return levels[name]
        name = name.rpartition(".")[0]
    return levels.get("")


def _exception(record: LogRecord) -> str | None:
    parts: list[str] = []
    info: Any = record.exc_info
    error = info if isinstance(info, BaseException) else info[1] if info else None
    if error is not None:
        parts.append(errors.traceback_text(error))
    elif record.exc_text:
        parts.append(fields.text(record.exc_text, _MAX_EXCEPTION))
    if record.stack_info:
        parts.append(fields.text(record.stack_info, _MAX_EXCEPTION))
    if not parts:
        return None
    whole = "\n".join(parts)
    data = whole.encode("utf-8", "replace")
    if len(data) <= _MAX_EXCEPTION:
        return whole
    # The end of a traceback is more useful than its beginning.
    return "…" + data[-_MAX_EXCEPTION + 3 :].decode("utf-8", "ignore")


def _attributes(record: LogRecord) -> dict[str, Any]:
    extra = {
        key: value
        for key, value in record.__dict__.items()
        if key not in _USUAL and not key.startswith("_")
    }
    out = fields.attributes(extra, fields.MAX_ATTRIBUTES - 5) if extra else {}
    correlation = _correlation.correlation_id()
    if correlation is not None:
        out["snakepit.correlation_id"] = fields.text(correlation, 256)
    out["code.file.path"] = fields.text(record.pathname, 512)
    out["code.line.number"] = int(record.lineno or 0)
    if record.funcName:
        out["code.function.name"] = fields.text(record.funcName, 256)
    if record.threadName and record.threadName != "MainThread":
        out["thread.name"] = fields.text(record.threadName, 128)
    return out
