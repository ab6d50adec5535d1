"""Export of the OpenTelemetry SDK's spans through the worker's link, without a network."""

from __future__ import annotations

from opentelemetry.sdk.trace.export import (  # pyright: ignore[reportMissingImports]
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from . import fields, sink, span as _span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_KINDS = {
    "CLIENT": _span.CLIENT,
    "CONSUMER": _span.SERVER,
    "PRODUCER": _span.CLIENT,
    "SERVER": _span.SERVER,
}
_MAX_EVENTS = 32


class SnakepitSpanExporter(SpanExporter):  # pyright: ignore[reportUntypedBaseClass]
    """Passes finished spans to the host, which exports them with its own.

    For a processor of the SDK; `install_opentelemetry` sets one up. Resources are the host's.
    """

    def export(self, spans: Sequence[Any]) -> Any:
        """Queue the spans; return `FAILURE` if some did not fit, or if this is no worker."""
        if not sink.settings().enabled:
            return SpanExportResult.FAILURE
        sent = [_put(span) for span in spans]
        return SpanExportResult.SUCCESS if all(sent) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Do nothing: no resources are held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Return `True`: no spans wait here, since the link sends by itself."""
        return True


def install_opentelemetry(provider: Any = None) -> Any:
    """Export the spans of a tracer provider to the host; return the provider.

    Without an argument, use the global provider, and create one if there is none yet. A second call
    does nothing.
    """
    from opentelemetry import trace  # pyright: ignore[reportMissingImports]
    from opentelemetry.sdk.trace import TracerProvider  # pyright: ignore[reportMissingImports]

    if provider is None:
        provider = trace.get_tracer_provider()
        if not hasattr(provider, "add_span_processor"):
            provider = TracerProvider()
            trace.set_tracer_provider(provider)
    if not getattr(provider, "_snakepit", False):
        provider.add_span_processor(SimpleSpanProcessor(SnakepitSpanExporter()))
        provider._snakepit = True
    return provider


def _put(span: Any) -> bool:
    context: Any = span.get_span_context()
    parent: Any = span.parent
    call = _span.here()[2]
    start = int(span.start_time or 0)
    state = _span.state_of(context)
    return sink.put(
        sink.SPAN,
        {
            **({} if state is None else {"state": state}),
            "name": fields.name(span.name, "span"),
            "trace": context.trace_id.to_bytes(16, "big")
            + context.span_id.to_bytes(8, "big")
            + bytes([int(context.trace_flags) & 1]),
            "parent": None if parent is None else parent.span_id.to_bytes(8, "big"),
            "start_ns": start,
            "end_ns": max(int(span.end_time or 0), start),
            "attributes": _attributes(span),
            "events": [
                {
                    "name": fields.name(event.name, "event"),
                    "at_ns": int(event.timestamp),
                    "attributes": fields.attributes(event.attributes),
                }
                for event in list(span.events)[:_MAX_EVENTS]
            ],
            "error": _error(span),
            "kind": _KINDS.get(span.kind.name, _span.INTERNAL),
            "call": call,
        },
    )


def _attributes(span: Any) -> dict[str, Any]:
    out = fields.attributes(span.attributes, fields.MAX_ATTRIBUTES - 3)
    scope: Any = getattr(span, "instrumentation_scope", None)
    if scope is not None and scope.name:
        out["otel.scope.name"] = fields.text(scope.name, 256)
        if scope.version:
            out["otel.scope.version"] = fields.text(scope.version, 64)
    links = [f"{link.context.trace_id:032x}-{link.context.span_id:016x}" for link in span.links]
    if links:
        out["otel.links"] = fields.text(" ".join(links[:16]))
    return out


def _error(span: Any) -> str | None:
    if span.status.status_code.name != "ERROR":
        return None
    return fields.text(span.status.description or "error")
