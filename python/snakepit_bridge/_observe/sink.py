"""The sink of telemetry records: the native queue, its settings, and their limits.

Outside of a worker, in a forked copy of one, and with an extension that has no queue, nothing is
sent: `settings()` reports that telemetry is off, and `put` returns `False`.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import ContextVar
    from types import ModuleType
    from typing import Any

EVENT, SPAN, LOG, MEASUREMENT = 1, 2, 3, 4

#: Most bytes of one record; the native queue rejects longer ones.
MAX_RECORD = 16 * 1024
#: Most characters of attribute texts; the smaller limits apply if a record is too long.
_LIMITS = (1024, 256, 64)

#: Trace context, call and correlation id outside of a call.
Place = tuple[bytes | None, int, str | None]
NOWHERE: Place = (None, 0, None)


class Settings:
    """Settings of the host. Immutable: new ones replace them."""

    __slots__ = ("allow", "deny", "enabled", "levels", "sampling", "version")

    def __init__(self, version: int = -1, values: dict[str, Any] | None = None) -> None:
        """Read the fields that have the right type; `None` means that telemetry is off."""
        given = values or {}
        self.version = version
        self.enabled = values is not None and given.get("enabled", True) is True
        rate = given.get("sampling", 1.0)
        number = isinstance(rate, (int, float)) and rate == rate
        self.sampling = min(max(float(rate), 0.0), 1.0) if number else 1.0
        self.allow = _texts(given.get("allow"))
        self.deny = _texts(given.get("deny"))
        levels: Any = given.get("levels")
        self.levels: dict[str, int] = {}
        if isinstance(levels, dict):
            for name, level in levels.items():
                if isinstance(name, str) and type(level) is int:
                    self.levels["" if name == "root" else name] = level

    def allows(self, *names: str) -> bool:
        """Return whether a name is allowed: no `deny` matches, and some `allow` if there are any.

        Several names are names of the same item.
        """
        if any(matches(pattern, name) for pattern in self.deny for name in names):
            return False
        if not self.allow:
            return True
        return any(matches(pattern, name) for pattern in self.allow for name in names)


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, (list, tuple)):
        return ()
    return tuple([value for value in values if isinstance(value, str)])


def matches(pattern: str, name: str) -> bool:
    """Match a glob: `*` is any text, `?` one character. Takes at most their lengths' product."""
    at = inside = 0
    retry: tuple[int, int] | None = None
    while at < len(name):
        if inside < len(pattern) and pattern[inside] == "*":
            inside += 1
            retry = (at, inside)
        elif inside < len(pattern) and pattern[inside] in ("?", name[at]):
            at += 1
            inside += 1
        elif retry is not None:
            at, inside = retry[0] + 1, retry[1]
            retry = (at, inside)
        else:
            return False
    return not pattern[inside:].strip("*")


class _Queue:
    """The native functions of this worker."""

    __slots__ = ("flush", "pack", "put", "read", "span", "state", "trace", "unpack", "version")

    def __init__(self, native: ModuleType) -> None:
        """Read the functions; raises `AttributeError` if the extension has no queue."""
        self.put: Callable[[int, bytes], bool] = native.telemetry_put
        self.flush: Callable[[], None] = native.telemetry_flush
        self.trace: Callable[[], Place] = native.telemetry_trace
        self.state: Callable[[], str | None] = native.telemetry_trace_state
        self.read: Callable[[], tuple[int, bytes]] = native.telemetry_settings
        self.version: Callable[[], int] = native.telemetry_version
        #: The context variable with the innermost span, for requests to the host.
        self.span: ContextVar[bytes | None] = native.telemetry_span
        self.pack: Callable[[Any], bytes] = native.pack
        self.unpack: Callable[[bytes], Any] = native.unpack


OFF = Settings()
_queue: _Queue | None = None
_settings = OFF
_lock = allocate_lock()
#: Functions that are called with changed settings.
_listeners: list[Callable[[Settings], None]] = []
_warned: set[str] = set()


def attach(native: ModuleType) -> bool:
    """Send records through this extension from now on; return `False` if it has no queue."""
    global _queue
    try:
        queue = _Queue(native)
    except AttributeError:
        return False
    _queue = queue
    return True


def detach() -> None:
    """Stop sending: the process is a copy of the worker, or a test is over."""
    global _queue, _settings, _lock
    _queue = None
    _settings = OFF
    # Another thread may have held it when the process was forked.
    _lock = allocate_lock()


def is_attached() -> bool:
    """Return whether this process is a worker whose records reach the host."""
    return _queue is not None


def settings() -> Settings:
    """Return the current settings."""
    queue = _queue
    if queue is None:
        return OFF
    if queue.version() != _settings.version:
        _refresh(queue)
    return _settings


def listen(listener: Callable[[Settings], None]) -> None:
    """Call `listener` with the settings, now and whenever they change."""
    _listeners.append(listener)
    listener(settings())


def _refresh(queue: _Queue) -> None:
    global _settings
    # Other threads use the former settings meanwhile: a listener may need the locks of `logging`. A
    # copy of the process gets another lock.
    lock = _lock
    if not lock.acquire(False):
        return
    try:
        version, data = queue.read()
        values: Any = queue.unpack(data) if data else {}
        # Version 0 means that the host takes no records.
        fresh = Settings(version, values if version and isinstance(values, dict) else None)
        if _queue is not queue:
            return
        _settings = fresh
        for listener in _listeners:
            listener(fresh)
    except Exception as error:
        warn("settings", f"the telemetry settings of the host cannot be read: {error}")
    finally:
        lock.release()


def hurry() -> None:
    """Send queued records before the next instruction, which may be the last one."""
    queue = _queue
    if queue is not None:
        queue.flush()


def show_span(context: bytes | None) -> None:
    """Make a span the parent of requests to the host; `None` restores the worker's own."""
    queue = _queue
    if queue is not None:
        queue.span.set(context)


def place() -> Place:
    """Return trace context, id and correlation id of the running call."""
    queue = _queue
    if queue is None:
        return NOWHERE
    try:
        return queue.trace()
    except Exception as error:
        warn("place", f"the running call is not known: {error}")
        return NOWHERE


def state() -> str | None:
    """Return the `tracestate` header of the running call's trace."""
    queue = _queue
    if queue is None:
        return None
    try:
        return queue.state()
    except Exception as error:
        warn("place", f"the running call is not known: {error}")
        return None


def put(kind: int, record: dict[str, Any]) -> bool:
    """Queue a record; return `False` if it was dropped and counted. Never waits or raises."""
    queue = _queue
    if queue is None:
        return False
    try:
        data = queue.pack(record)
        if len(data) > MAX_RECORD:
            data = _shortened(queue, record)
        return queue.put(kind, data)
    except Exception as error:
        warn("put", f"a telemetry record cannot be sent: {error}")
        return False


def _shortened(queue: _Queue, record: dict[str, Any]) -> bytes:
    """Encode a record that is too long: shorten texts first, then leave out its attributes."""
    for limit in _LIMITS[1:]:
        data = queue.pack({key: _cut(value, limit) for key, value in record.items()})
        if len(data) <= MAX_RECORD:
            return data
    kept = {key: value for key, value in record.items() if not isinstance(value, (dict, list))}
    for key in ("attributes", "metadata", "measurements"):
        if key in record:
            kept[key] = {}
    if "attributes" in kept:
        kept["attributes"] = {"snakepit.truncated": True}
    return queue.pack({key: _cut(value, 1024) for key, value in kept.items()})


def _cut(value: Any, limit: int) -> Any:
    kind = type(value)
    if kind is str:
        # A message may be longer than an attribute.
        return clip(value, limit * 4)
    if kind is dict:
        return {key: clip(v, limit) if type(v) is str else v for key, v in value.items()}
    if kind is list:
        return [
            {key: _cut(v, limit) for key, v in item.items()} if type(item) is dict else item
            for item in value[:16]
        ]
    return value


def clip(text: str, limit: int) -> str:
    """Cut a text to about `limit` bytes of UTF-8; a mark shows that it was cut."""
    if len(text) * 4 <= limit:
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return text
    return data[: max(limit - 3, 0)].decode("utf-8", "ignore") + "…"


def warn(key: str, text: str) -> None:
    """Write a line to the worker's log, once for each `key`. Never raises."""
    if key in _warned:
        return
    _warned.add(key)
    try:
        sys.stderr.write(f"snakepit: {text}\n")
    except Exception:
        # Without standard error there is nowhere to write the warning.
        return
