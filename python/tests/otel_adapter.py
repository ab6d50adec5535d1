"""Tools that use OpenTelemetry, as instrumented libraries do."""

import asyncio
import contextvars
import subprocess
import threading

from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode

from snakepit_bridge import BaseAdapter, telemetry, tool

__thread_safe__ = True

tracer = trace.get_tracer("library", "1.2")


class Adapter(BaseAdapter):
    def initialize(self) -> None:
        telemetry.install_opentelemetry()
        telemetry.install_opentelemetry()


def current():
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags)}"


@tool
def here() -> str:
    return current()


@tool
def state() -> list:
    own = trace.get_current_span().get_span_context().trace_state.to_header()
    return [own, dict(telemetry.outgoing_metadata()).get("tracestate")]


@tool
def own_state() -> str:
    here = trace.get_current_span().get_span_context()
    members = here.trace_state.add("mine", "1")
    other = trace.SpanContext(here.trace_id, here.span_id ^ 1, True, here.trace_flags, members)
    with trace.use_span(trace.NonRecordingSpan(other)), telemetry.span("own"):
        return dict(telemetry.outgoing_metadata())["tracestate"]


@tool
async def here_async() -> list:
    await asyncio.sleep(0)
    return [current(), await asyncio.to_thread(current)]


@tool
def here_stream(n: int):
    for _ in range(n):
        yield current()


@tool
async def here_stream_async(n: int):
    for _ in range(n):
        await asyncio.sleep(0)
        yield current()


@tool
def spans() -> None:
    with tracer.start_as_current_span("request", kind=trace.SpanKind.CLIENT) as span:
        span.set_attribute("http.method", "GET")
        span.set_attribute("sizes", [1, 2])
        span.add_event("sent", {"bytes": 7})
        with tracer.start_as_current_span("inner"):
            pass
        span.set_status(Status(StatusCode.ERROR, "refused: token='hush-hush-1'"))


@tool
async def spans_async() -> None:
    async def one(name):
        with tracer.start_as_current_span(name):
            await asyncio.sleep(0)

    with tracer.start_as_current_span("all"):
        await asyncio.gather(one("a"), one("b"))


@tool
def spans_stream(n: int):
    with tracer.start_as_current_span("streamed"):
        yield from range(n)


@tool
def mixed() -> None:
    with telemetry.span("own"), tracer.start_as_current_span("theirs"):
        with telemetry.span("own within"), tracer.start_as_current_span("theirs within"):
            pass
        with tracer.start_as_current_span("theirs beside"):
            pass


@tool
def in_a_thread() -> None:
    def work():
        with tracer.start_as_current_span("thread"):
            pass

    with telemetry.span("own"):
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()


@tool
def with_baggage() -> list:
    token = context.attach(baggage.set_baggage("user", "ann"))
    try:
        return [current(), baggage.get_baggage("user")]
    finally:
        context.detach(token)


@tool
def left_attached() -> str:
    context.attach(baggage.set_baggage("left", "behind"))
    return current()


@tool
def raises() -> None:
    with tracer.start_as_current_span("raising"):
        raise ValueError("no")


@tool
def starts() -> list:
    with tracer.start_as_current_span("starter") as span:
        out = subprocess.run(["sh", "-c", 'echo "$TRACEPARENT"'], stdout=subprocess.PIPE, text=True)
        return [out.stdout.strip(), f"{span.get_span_context().span_id:016x}"]


@tool
def own_provider() -> None:
    provider = telemetry.install_opentelemetry(TracerProvider())
    with provider.get_tracer("other").start_as_current_span("by the other"):
        pass
