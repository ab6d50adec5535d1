"""A tool that uses a library which is instrumented with OpenTelemetry."""

import asyncio

from opentelemetry import trace

from snakepit_bridge import BaseAdapter, telemetry, tool

__thread_safe__ = True

tracer = trace.get_tracer("library")


class Adapter(BaseAdapter):
    def initialize(self) -> None:
        telemetry.install_opentelemetry()

    @tool
    def fetch(self) -> None:
        with telemetry.span("own"), tracer.start_as_current_span("request"):
            with tracer.start_as_current_span("connect"):
                pass

    @tool
    async def fetch_async(self) -> None:
        async def one(name):
            with tracer.start_as_current_span(name):
                await asyncio.sleep(0)

        with tracer.start_as_current_span("request"):
            await asyncio.gather(one("connect"), one("resolve"))

    @tool
    def fetch_stream(self, n: int):
        with tracer.start_as_current_span("request"):
            yield from range(n)
