"""Tools that report through `snakepit_bridge.telemetry` and `logging`."""

import asyncio
import logging

from snakepit_bridge import telemetry, tool

__thread_safe__ = True

rows = telemetry.counter("rows", "{row}", "Rows that were read")
log = logging.getLogger("app.loader")


@tool
def reports() -> str:
    with telemetry.span("outer", size=3):
        with telemetry.span("inner"):
            telemetry.emit("loaded", {"bytes": 7}, {"kind": "cold"})
            rows.add(5, table="t")
            try:
                raise KeyError("gone")
            except KeyError:
                log.exception("cannot load %s", "a.bin", extra={"user": "ann"})
    return telemetry.correlation_id()


@tool
async def reports_async() -> str:
    async def step(name):
        with telemetry.span(name):
            await asyncio.sleep(0)

    async with telemetry.span("outer"):
        await asyncio.gather(step("one"), step("two"))
    return telemetry.correlation_id()


@tool
@telemetry.span("stream")
def reports_stream(n: int):
    for number in range(n):
        log.warning("item %d", number)
        yield number


@tool
def fails() -> None:
    with telemetry.span("failing"):
        raise ValueError("password='hush-hush-1'")


@tool
def floods(n: int) -> None:
    for number in range(n):
        log.warning("line %d", number)


@tool
def counts(n: int) -> None:
    # So long that the host has no room for most of them, and an event among them that may be lost.
    for _ in range(n):
        telemetry.counter("flood.rows").add(1, kind="c" * 1000)
        telemetry.emit("flood")


@tool
def trace_state(path: str) -> list[str | None]:
    import os
    import subprocess

    command = ["sh", "-c", 'echo "$TRACESTATE"']
    with telemetry.span("inner"):
        os.system(f'echo "$TRACESTATE" > {path}')
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        own = dict(telemetry.outgoing_metadata()).get("tracestate")
        return [own, run.stdout.strip()]


@tool
def says(level: int, text: str) -> int:
    log.log(level, text)
    return log.getEffectiveLevel()


@tool
def environment() -> str:
    import subprocess

    command = ["sh", "-c", 'echo "$TRACEPARENT"']
    with telemetry.span("starts"):
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
