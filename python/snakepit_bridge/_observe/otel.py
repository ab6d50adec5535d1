"""The context of OpenTelemetry in tools: spans of instrumented libraries join the call's trace.

Once user code has imported `opentelemetry.context`, the current context has the worker's span of
the running call, or the innermost span of `telemetry.span`, where it would have none. The span is
looked up on access, so a call costs nothing. It follows the call: through coroutines, generators,
and threads that run in a copied context.
"""

from __future__ import annotations

from . import sink, span as _span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Contexts that were created for a span, so that each is created once; cleared when full.
_MAX_MADE = 64


class _Joined:
    """A wrapper of OpenTelemetry's runtime context, which it asks first."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._made: dict[bytes, Any] = {}
        self._trace: Any = None

    def attach(self, context: Any) -> Any:
        return self._runtime.attach(context)

    def detach(self, token: Any) -> None:
        self._runtime.detach(token)

    def get_current(self) -> Any:
        current = self._runtime.get_current()
        if not sink.is_attached():
            return current
        try:
            return self._with_span(current)
        except Exception as error:
            sink.warn("opentelemetry", f"OpenTelemetry does not join the trace: {error}")
            return current

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def _module(self) -> Any:
        """Return `opentelemetry.trace`; `None` until it is imported."""
        if self._trace is None:
            import sys

            module: Any = sys.modules.get("opentelemetry.trace")
            if module is not None and hasattr(module, "set_span_in_context"):
                self._trace = module
        return self._trace

    def _with_span(self, current: Any) -> Any:
        trace = self._module()
        if trace is None:
            return current
        outer, place, _, _ = _span.here()
        inner = self._inner(current, trace)
        if inner is not None and not (outer is not None and outer.foreign is inner):
            return current
        context = place if outer is None else outer.context
        if context is None:
            return current
        if not current and context in self._made:
            return self._made[context]
        state = sink.state() if outer is None else outer.state
        made = trace.set_span_in_context(self._span(trace, context, state), current)
        if not current:
            if len(self._made) >= _MAX_MADE:
                self._made = {}
            self._made[context] = made
        return made

    def _span(self, trace: Any, context: bytes, state: str | None) -> Any:
        span = trace.NonRecordingSpan(
            trace.SpanContext(
                trace_id=int.from_bytes(context[:16], "big"),
                span_id=int.from_bytes(context[16:24], "big"),
                is_remote=True,
                trace_flags=trace.TraceFlags(context[24]),
                trace_state=trace.TraceState.from_header([state]) if state else None,
            )
        )
        # If code attaches a context with this span, the mark shows that it is not the code's own.
        span.snakepit = True
        return span

    def _inner(self, current: Any, trace: Any) -> Any:
        """Return the span that user code has put into a context; `None` if there is none."""
        if not current:
            return None
        span = trace.get_current_span(current)
        own = getattr(span, "snakepit", False)
        return None if own or not span.get_span_context().is_valid else span

    def foreign(self, outer: _span.Span | None) -> tuple[bytes | None, Any]:
        """Return the user's current span, and its context if it began within the span `outer`."""
        try:
            trace = self._module()
            if trace is None:
                return None, None
            inner = self._inner(self._runtime.get_current(), trace)
            if inner is None or (outer is not None and outer.foreign is inner):
                return None, inner
            found = inner.get_span_context()
            flags = bytes([int(found.trace_flags) & 1])
            ids = found.trace_id.to_bytes(16, "big") + found.span_id.to_bytes(8, "big")
            return ids + flags, inner
        except Exception as error:
            sink.warn("opentelemetry", f"the span of OpenTelemetry is not known: {error}")
            return None, None


def join(context: Any) -> None:
    """Join the module `opentelemetry.context`; only the API is needed."""
    runtime: Any = getattr(context, "_RUNTIME_CONTEXT", None)
    if runtime is None or isinstance(runtime, _Joined):
        return
    joined = context._RUNTIME_CONTEXT = _Joined(runtime)
    _span.foreign[:] = [joined.foreign]
