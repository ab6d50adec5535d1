"""Events, spans, metrics and correlation ids of worker code, for the host to export.

In a worker the records go to the host, which fills in pool, worker and call, and drops with a count
what is too much. Elsewhere the functions do nothing. None of them raises, or waits for the host.

```python
from snakepit_bridge import telemetry

loads = telemetry.counter("model.loads", unit="{load}")


@telemetry.span("predict", model="small")
async def predict(x): ...


with telemetry.span("load", path="a.bin") as span:
    span.set_attribute("bytes", 4096)
    loads.add(1, kind="cold")
telemetry.emit("tool.result_size", {"bytes": 4096}, {"tool": "predict"})
```
"""

from __future__ import annotations

from time import time_ns

from .._observe import (
    correlation as _correlation,
    fields as _fields,
    instruments as _instruments,
    sink as _sink,
    span as _span,
)
from .._observe.correlation import (
    correlation_id,
    get_correlation_id,
    new_correlation_id,
    outgoing_metadata,
    reset_correlation_id,
    set_correlation_id,
)
from .._observe.instruments import Counter, Gauge, Histogram
from .._observe.span import Span
from .backends.base import TelemetryBackend
from .manager import get_backend, is_enabled, set_backend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from .._observe.otel_export import SnakepitSpanExporter, install_opentelemetry
    from ..otel_tracing import correlation_filter, get_tracer, setup_tracing, span as otel_span
    from .backends.grpc import GrpcBackend
    from .backends.stderr import StderrBackend
    from .stream import TelemetryStream

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "CORRELATION_HEADER",
    "Counter",
    "Gauge",
    "GrpcBackend",
    "Histogram",
    "SnakepitSpanExporter",
    "Span",
    "StderrBackend",
    "TelemetryBackend",
    "TelemetryStream",
    "bind",
    "correlation_filter",
    "correlation_id",
    "counter",
    "emit",
    "environment",
    "gauge",
    "get_backend",
    "get_correlation_id",
    "get_tracer",
    "histogram",
    "install_opentelemetry",
    "is_enabled",
    "new_correlation_id",
    "otel_span",
    "outgoing_metadata",
    "reset_correlation_id",
    "set_backend",
    "set_correlation_id",
    "setup_tracing",
    "span",
    "traceparent",
]

CORRELATION_HEADER = _correlation.HEADER

#: Places of names that need `logging` or a library.
_LAZY = {
    "GrpcBackend": ("telemetry.backends.grpc", "GrpcBackend"),
    "SnakepitSpanExporter": ("_observe.otel_export", "SnakepitSpanExporter"),
    "StderrBackend": ("telemetry.backends.stderr", "StderrBackend"),
    "TelemetryStream": ("telemetry.stream", "TelemetryStream"),
    "correlation_filter": ("otel_tracing", "correlation_filter"),
    "get_tracer": ("otel_tracing", "get_tracer"),
    "install_opentelemetry": ("_observe.otel_export", "install_opentelemetry"),
    "otel_span": ("otel_tracing", "span"),
    "setup_tracing": ("otel_tracing", "setup_tracing"),
}


def __getattr__(name: str) -> object:
    """Load a name on first use."""
    place = _LAZY.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"snakepit_bridge.{place[0]}", fromlist=[place[1]])
    value = globals()[name] = getattr(module, place[1])
    return value


def emit(
    event: str,
    measurements: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    correlation_id: str | None = None,
) -> None:
    """Emit an event, for example `emit("tool.result_size", {"bytes": 7}, {"tool": "predict"})`.

    Names outside of `python.` and `tool.` get the prefix `tool.`. Measurements are numbers, other
    values go to the metadata, as texts without what looks like a secret.
    """
    backend = get_backend()
    if backend is None:
        return
    try:
        backend.emit(event, _mapping(measurements), _mapping(metadata), correlation_id)
    except Exception as error:
        _sink.warn("backend", f"the telemetry backend failed: {type(error).__name__}: {error}")


def _mapping(given: Any) -> Mapping[str, Any]:
    if not given:
        return {}
    if hasattr(given, "items"):
        return given
    _sink.warn(
        "mapping",
        f"telemetry accepts mappings, not {type(given).__name__}: the value is ignored",
    )
    return {}


class _Spanning(Span):
    """The result of `span`: a context manager, and a decorator of functions of any kind."""

    __slots__ = ("_given", "_metadata")

    def __init__(self, name: str, metadata: Any, correlation: Any, given: Any) -> None:
        # Kept for the spans of a decorated function.
        self._given = given
        self._metadata: dict[str, Any] | None = None
        if metadata is not None or name.startswith(("python.", "tool.")):
            self._metadata = dict(metadata or given)
        super().__init__(name, {**(metadata or {}), **given})
        self.own_id = None if correlation is None else str(correlation)

    def __call__(self, function: F) -> F:
        """Decorate a function: each of its calls has a span of its own."""
        from .._observe.spanned import spanned

        name, metadata, given = self.name, self._metadata, self._given
        own = self.own_id
        return spanned(function, lambda: _Spanning(name, metadata, own, given))

    def begin(self) -> Span:
        super().begin()
        if self._metadata is not None and not self._depth:
            self._tell("start", {"system_time": time_ns()}, self._metadata)
        return self

    def end(self, error: BaseException | str | None = None) -> None:
        if self._metadata is not None and self.is_open and not self._depth:
            duration = {"duration": _span.monotonic_ns() - self._since}
            if error is None:
                self._tell("stop", duration, self._metadata)
            else:
                kind = type(error).__name__ if isinstance(error, BaseException) else "error"
                why = {"error_type": kind, "error_message": _fields.text(error)}
                self._tell("exception", duration, {**self._metadata, **why})
        super().end(error)

    def _tell(self, what: str, numbers: dict[str, int], metadata: dict[str, Any]) -> None:
        """Emit an event that belongs to the span."""
        former = self.enter()
        emit(f"{self.name}.{what}", numbers, metadata, self.correlation)
        _span.swap(former)


def span(
    name: str | Any,
    /,
    metadata: Mapping[str, Any] | None = None,
    correlation_id: str | None = None,
    **attributes: Any,
) -> Any:
    """Return a span: `with span("load", path=p):`, `async with`, or `@span("load")` on a function.

    It is a child of the span around it, in a call of the tool's own span. `begin()` and `end()` do
    it by hand. With `metadata`, and under the names `python.*` and `tool.*`, it also emits the
    events `<name>.start`, `<name>.stop` and `<name>.exception`, as the original library does.
    """
    if callable(name):
        # `@span` without a name.
        function: Any = name
        return span(str(getattr(function, "__qualname__", "span")))(function)
    given = dict(attributes)
    # The older form of the original.
    former = given.pop("attributes", None)
    if former is not None:
        given.update(former if hasattr(former, "keys") else {"attributes": former})
    if "context_metadata" in given:
        correlation_id = correlation_id or _correlation.from_metadata(given.pop("context_metadata"))
    if metadata is not None and not hasattr(metadata, "keys"):
        given["metadata"], metadata = metadata, None
    return _Spanning(str(name), metadata, correlation_id, given)


def counter(name: str, unit: str = "", description: str = "") -> Counter:
    """Return a counter, for example `counter("rows", "{row}").add(5, table="t")`."""
    return Counter(name, unit, description)


def histogram(name: str, unit: str = "", description: str = "") -> Histogram:
    """Return a histogram, for example `histogram("size", "By").record(4096)`."""
    return Histogram(name, unit, description)


def gauge(name: str, unit: str = "", description: str = "") -> Gauge:
    """Return a gauge, for example `gauge("queue.length").set(3)`."""
    return Gauge(name, unit, description)


def traceparent() -> str | None:
    """Return the trace context as a W3C `traceparent`, for requests to other services.

    `None` outside of a trace.
    """
    return _span.traceparent(_span.context())


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment for a process, this process's or `env`, with the trace context.

    That is `TRACEPARENT`, and `TRACESTATE` if there is one.
    """
    from os import environ

    given = dict(environ if env is None else env)
    given.update(_span.variables())
    return given


def bind(function: F) -> F:
    """Return a function that runs as part of this call and span, in any thread.

    Otherwise threads and executors begin outside of any call: `pool.submit(bind(work), x)`.
    """
    from functools import wraps

    here = _span.carried()

    @wraps(function)
    def bound(*args: Any, **kwargs: Any) -> Any:
        former = here.enter()
        try:
            return function(*args, **kwargs)
        finally:
            here.leave(former)

    return bound  # pyright: ignore[reportReturnType]


def flush() -> None:
    """Queue counts and values that did not fit into the full queue before, without waiting."""
    _instruments.flush()
