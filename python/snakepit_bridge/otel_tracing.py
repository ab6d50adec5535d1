"""Tracing with OpenTelemetry's SDK, under the names of the original library.

`snakepit_bridge.telemetry` needs nothing of this. Without the SDK, spans are not recorded, and
correlation ids work as usual.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager

from ._observe import sink as _sink
from ._observe.correlation import (
    HEADER as CORRELATION_HEADER,
    from_metadata,
    get_correlation_id,
    new_correlation_id,
    outgoing_metadata,
    reset_correlation_id,
    set_correlation_id,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from typing import Any

__all__ = [
    "CORRELATION_HEADER",
    "correlation_filter",
    "get_correlation_id",
    "get_tracer",
    "new_correlation_id",
    "outgoing_metadata",
    "reset_correlation_id",
    "set_correlation_id",
    "setup_tracing",
    "span",
]

_tracer: list[Any] = []
_factory_set: list[bool] = []


def setup_tracing() -> None:
    """Set up a tracer provider, once, if the SDK is installed.

    Records of `logging` get the attribute `correlation_id`. In a worker, spans go to the host.
    `SNAKEPIT_OTEL_ENDPOINT` sends them to a collector instead, if the OTLP exporter over HTTP is
    installed; `SNAKEPIT_OTEL_CONSOLE=true` prints them.
    """
    if _factory_set:
        return
    _factory_set.append(True)
    _set_record_factory()
    try:
        from opentelemetry import trace  # pyright: ignore[reportMissingImports]
        from opentelemetry.sdk.resources import Resource  # pyright: ignore[reportMissingImports]
        from opentelemetry.sdk.trace import TracerProvider  # pyright: ignore[reportMissingImports]
    except ImportError:
        return
    provider: Any = trace.get_tracer_provider()
    if not hasattr(provider, "add_span_processor"):
        from os import environ

        names = {
            "service.name": environ.get("SNAKEPIT_SERVICE_NAME", "snakepit.python.bridge"),
            "service.namespace": "snakepit",
            "service.instance.id": environ.get("SNAKEPIT_INSTANCE_ID") or new_correlation_id(),
        }
        provider = TracerProvider(resource=Resource.create(names))
        trace.set_tracer_provider(provider)
    _add_exporter(provider)
    _tracer[:] = [trace.get_tracer("snakepit.bridge")]


def _add_exporter(provider: Any) -> None:
    from os import environ

    from opentelemetry.sdk.trace import export  # pyright: ignore[reportMissingImports]

    endpoint = environ.get("SNAKEPIT_OTEL_ENDPOINT")
    if endpoint:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # pyright: ignore
                OTLPSpanExporter,
            )
        except ImportError:
            _sink.warn(
                "otlp",
                "SNAKEPIT_OTEL_ENDPOINT is set, but OTLP over HTTP is not installed: install "
                "`opentelemetry-exporter-otlp-proto-http`, or unset it and let the host export",
            )
        else:
            exporter: Any = OTLPSpanExporter(endpoint=endpoint)
            provider.add_span_processor(export.BatchSpanProcessor(exporter))
            return
    if environ.get("SNAKEPIT_OTEL_CONSOLE", "").lower() in ("1", "true", "yes"):
        provider.add_span_processor(export.SimpleSpanProcessor(export.ConsoleSpanExporter()))
    if _sink.is_attached():
        from ._observe.otel_export import install_opentelemetry

        install_opentelemetry(provider)


def get_tracer() -> Any:
    """Return the tracer of `setup_tracing`. `None` without the SDK."""
    return _tracer[0] if _tracer else None


@contextmanager
def span(
    name: str,
    context_metadata: Sequence[tuple[str, str]] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Generator[Any]:
    """Hold an OpenTelemetry span and a correlation id: the metadata's, the current, or a new one.

    Yields the span; `None` before `setup_tracing` and without the SDK.
    """
    found = from_metadata(context_metadata) or get_correlation_id() or new_correlation_id()
    token = set_correlation_id(found)
    try:
        tracer = get_tracer()
        if tracer is None:
            yield None
            return
        with tracer.start_as_current_span(name) as current:
            for key, value in (attributes or {}).items():
                current.set_attribute(key, value)
            current.set_attribute("snakepit.correlation_id", found)
            yield current
    finally:
        reset_correlation_id(token)


class _CorrelationFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.correlation_id = get_correlation_id("-")
        return True


def correlation_filter() -> logging.Filter:
    """Return a filter that gives records the attribute `correlation_id`, `-` without one."""
    return _CorrelationFilter()


def _set_record_factory() -> None:
    former = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = former(*args, **kwargs)
        if not getattr(record, "correlation_id", None):
            record.correlation_id = get_correlation_id("-")
        return record

    logging.setLogRecordFactory(factory)
