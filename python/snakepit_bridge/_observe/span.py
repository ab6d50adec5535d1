"""Spans of Python code: their begin, their parents, and their way to the host."""

from __future__ import annotations

from contextvars import ContextVar
from os import urandom
from time import monotonic_ns, time_ns

from . import fields, sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

INTERNAL, SERVER, CLIENT = 0, 1, 2

#: Most events that a span keeps.
_MAX_EVENTS = 32
_MAX_TRACE = 3072

_current: ContextVar[Span | None] = ContextVar("snakepit_span", default=None)

#: Returns the current span of OpenTelemetry, and its context if it began within the given span. Set
#: once OpenTelemetry is imported.
foreign: list[Callable[[Span | None], tuple[bytes | None, Any]]] = []


def lucky(rate: float) -> bool:
    """Decide at random whether to keep an item, at this rate."""
    return rate >= 1.0 or int.from_bytes(urandom(4), "big") < rate * 2**32


class Span:
    """A piece of work with a start and an end.

    A context manager, also for `async with`, or begun and ended by hand. No method raises, in any
    state of the span.
    """

    __slots__ = (
        "__weakref__",
        "_attributes",
        "_depth",
        "_error",
        "_events",
        "_open",
        "_parent",
        "_since",
        "_start",
        "_used",
        "call",
        "context",
        "correlation",
        "foreign",
        "is_recorded",
        "kind",
        "name",
        "outer",
        "own_id",
        "state",
    )

    def __init__(
        self, name: str, attributes: Mapping[str, Any] | None = None, kind: int = INTERNAL
    ) -> None:
        """Create a span that has not begun."""
        self.name = name
        self.kind = kind
        self._attributes: dict[str, Any] = dict(attributes) if attributes else {}
        self._used = False
        self._depth = 0
        # Holds one item while the span is open; taking the item ends the span.
        self._open: list[bool] = []
        self._error: str | None = None
        self._events: list[dict[str, Any]] = []
        self._parent: bytes | None = None
        self._start = self._since = 0
        #: Own trace context, 25 bytes; the parent's if the span itself is not recorded.
        self.context: bytes | None = None
        self.is_recorded = False
        #: The `tracestate` header of the context.
        self.state: str | None = None
        self.call = 0
        #: Correlation id, if it is not inherited.
        self.own_id: str | None = None
        self.correlation: str | None = None
        self.outer: Span | None = None
        #: The span of OpenTelemetry that was current when this one began.
        self.foreign: Any = None

    # State.

    @property
    def is_open(self) -> bool:
        """True if the span has begun and not ended."""
        return bool(self._open)

    @property
    def traceparent(self) -> str | None:
        """The `traceparent` header of the span. `None` without a trace."""
        return traceparent(self.context)

    def begin(self) -> Span:
        """Begin as a child of the current span, without becoming the current one."""
        if self._open:
            sink.warn(
                "begun twice",
                f"span {self.name!r} is started again before it has ended, which has no effect; "
                "create one span for each piece of work",
            )
            self._depth += 1
            return self
        if self._used:
            self._events, self._error, self._parent, self.context = [], None, None, None
            self.state = None
        self._used = True
        settings = sink.settings()
        outer, trace, self.call, correlation = here()
        self.outer = outer
        self.correlation = self.own_id or correlation
        self.is_recorded = False
        if settings.enabled:
            self._place(outer, trace, settings.sampling)
        else:
            self.context = trace if outer is None else outer.context
        if self.context is not None:
            self.state = _inherited(outer)
        if self.is_recorded:
            self.name = fields.name(self.name, "span")
        self._start, self._since = time_ns(), monotonic_ns()
        self._open = [True]
        return self

    def _place(self, outer: Span | None, trace: bytes | None, sampling: float) -> None:
        parent = trace if outer is None else outer.context
        found = None
        if foreign:
            found, self.foreign = foreign[0](outer)
            parent = found or parent
        first = outer is None and found is None
        if parent is None:
            # A call without a trace stays without one; other code begins a trace.
            if self.call or not first or not lucky(sampling):
                return
            parent = urandom(16) + bytes(8) + b"\x01"
        elif not parent[24] & 1 or (first and not lucky(sampling)):
            # Spans within it are dropped too.
            self.context = parent[:24] + b"\x00"
            return
        else:
            self._parent = parent[16:24]
        self.is_recorded = True
        self.context = parent[:16] + urandom(8) + parent[24:]

    def end(self, error: BaseException | str | None = None) -> None:
        """End the span, as failed if there is an error. A second end only warns."""
        if self._depth:
            self._depth -= 1
            return
        try:
            self._open.pop()
        except IndexError:
            what = "has ended already" if self._used else "was never started"
            sink.warn(f"ended {what}", f"span {self.name!r} {what}; end each span once")
            return
        if self.is_recorded:
            if error is not None:
                self.fail(error)
            self._send()
        self.outer, self._events = _open_from(self.outer), []
        self.foreign = None

    def _send(self) -> None:
        attributes = fields.attributes(self._attributes)
        if self.correlation is not None:
            attributes["snakepit.correlation_id"] = self.correlation
        record = {
            "name": self.name,
            "trace": self.context,
            "parent": self._parent,
            "start_ns": self._start,
            "end_ns": self._start + max(monotonic_ns() - self._since, 0),
            "attributes": attributes,
            "events": self._events,
            "error": self._error,
            "kind": self.kind,
            "call": self.call,
        }
        if self.state is not None:
            record["state"] = self.state
        sink.put(sink.SPAN, record)

    def __del__(self) -> None:
        """Send a span that was never ended."""
        try:
            if self._open and self.is_recorded and sink.is_attached():
                self._depth = 0
                self._attributes["snakepit.unclosed"] = True
                sink.warn(
                    "unclosed",
                    f"span {self.name!r} was dropped without its end; use `with` or call `end()`",
                )
                self.end()
        except Exception:
            # The interpreter may be shutting down.
            return

    # Content.

    def set_attribute(self, key: str, value: object) -> Span:
        """Set an attribute: a truth value, a number or a text; others become texts."""
        if self.is_recorded and len(self._attributes) <= fields.MAX_ATTRIBUTES:
            self._attributes[key] = value
        return self

    def set_attributes(self, attributes: Mapping[str, Any]) -> Span:
        """Set several attributes."""
        for key, value in dict(attributes).items():
            self.set_attribute(key, value)
        return self

    def add_event(self, name: str, /, **attributes: Any) -> Span:
        """Add an event; at most 32 are kept."""
        if self.is_recorded and len(self._events) < _MAX_EVENTS:
            self._events.append(
                {
                    "name": fields.name(name, "event"),
                    "at_ns": time_ns(),
                    "attributes": fields.attributes(attributes),
                }
            )
        return self

    def fail(self, error: BaseException | str) -> Span:
        """Mark the span as failed, with an exception or a text; the last one counts."""
        if not self.is_recorded:
            return self
        if not isinstance(error, BaseException):
            self._error = fields.text(error)
            return self
        from .._serve import errors

        kind, message = type(error).__qualname__, errors.message(error)
        self._error = sink.clip(f"{kind}: {message}" if message else kind, 1024)
        self._attributes["error.type"] = kind
        if len(self._events) < _MAX_EVENTS:
            trace = sink.clip(errors.traceback_text(error, limit=_MAX_TRACE), _MAX_TRACE)
            event = {"exception.type": kind, "exception.message": sink.clip(message, 1024)}
            event["exception.stacktrace"] = trace
            self._events.append({"name": "exception", "at_ns": time_ns(), "attributes": event})
        return self

    #: The name in OpenTelemetry.
    record_exception = fail

    # Context.

    def enter(self) -> Span | None:
        """Make the span current here; return the argument of `leave`."""
        former = _current.get()
        _set_current(self)
        return former

    def leave(self, former: Span | None = None) -> None:
        """Make the outer span current, if this span is current here."""
        if _current.get() is self:
            _set_current(_open_from(former))

    def __enter__(self) -> Span:
        """Begin the span and make it current."""
        self.begin()
        self.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the span, as failed if an exception passes."""
        outer = self.outer
        # A generator that is closed early has not failed.
        self.end(None if isinstance(error, GeneratorExit) else error)
        if not self._open:
            self.leave(outer)

    async def __aenter__(self) -> Span:
        """Begin the span as `__enter__` does."""
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the span as `__exit__` does."""
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        """Show name and state."""
        state = "open" if self._open else "ended" if self._used else "not begun"
        return f"<Span {self.name!r} {state}>"


def _set_current(span: Span | None) -> None:
    _current.set(span)
    sink.show_span(None if span is None else span.context)


def swap(span: Span | None) -> Span | None:
    """Make a span, or the open one around it, current here; return the former."""
    former = _current.get()
    _set_current(_open_from(span))
    return former


def _open_from(span: Span | None) -> Span | None:
    """Return the innermost open span, from this one outwards."""
    while span is not None and not span._open:
        span = span.outer
    return span


def here() -> tuple[Span | None, bytes | None, int, str | None]:
    """Return the open span, and trace context, id and correlation id of its call.

    A span that another call has left open in this thread does not count.
    """
    trace, call, correlation = sink.place()
    first = span = _current.get()
    if span is None:
        return None, trace, call, correlation
    while span is not None and (not span._open or (call and span.call != call)):
        span = span.outer
    if span is not first:
        _set_current(span)
    if span is None:
        return None, trace, call, correlation
    return span, trace, call or span.call, span.correlation or correlation


def context() -> bytes | None:
    """Return the trace context of the running code, 25 bytes. `None` without a trace."""
    span, trace, _, _ = here()
    found = foreign[0](span)[0] if foreign else None
    return found or (trace if span is None else span.context)


def state() -> str | None:
    """Return the `tracestate` header of `context()`. `None` if there is none."""
    span, trace, _, _ = here()
    return None if span is None and trace is None and not foreign else _inherited(span)


def _inherited(outer: Span | None) -> str | None:
    """Return the trace state that a span within `outer` inherits."""
    if foreign:
        found, inner = foreign[0](outer)
        if found is not None:
            return state_of(inner.get_span_context())
    return sink.state() if outer is None else outer.state


def state_of(context: Any) -> str | None:
    """Return the `tracestate` of an OpenTelemetry span context. `None` if it is empty."""
    members = context.trace_state
    return (members.to_header() or None) if members else None


def traceparent(context: bytes | None) -> str | None:
    """Return a trace context as the header `traceparent`."""
    if context is None:
        return None
    return f"00-{context[:16].hex()}-{context[16:24].hex()}-{context[24]:02x}"


def variables() -> dict[str, str]:
    """Return the variables that pass the trace context to a process; none without a trace."""
    parent = traceparent(context())
    if parent is None:
        return {}
    members = state()
    found = {"TRACEPARENT": parent}
    if members is not None:
        found["TRACESTATE"] = members
    return found


def carried() -> Span:
    """Return an open span that represents this place in other threads, and is not sent itself."""
    outer, trace, call, correlation = here()
    span = Span("carried")
    span.context = trace if outer is None else outer.context
    span.state = state()
    span.call, span.correlation = call, correlation
    span._used, span._open = True, [True]
    return span
