"""Tools that emit, measure and log."""

import asyncio
import contextvars
import logging
import os
import subprocess
import sys
import threading

from snakepit_bridge import BaseAdapter, Context, telemetry, tool

__thread_safe__ = True

rows = telemetry.counter("rows", "{row}", "Rows that were read")
size = telemetry.histogram("size", "By")
depth = telemetry.gauge("queue.depth")
log = logging.getLogger("app.part")


@tool
def mark() -> None:
    telemetry.emit("tool.mark", {})


@tool
def emits(name: str, measurements: dict, metadata: dict) -> None:
    telemetry.emit(name, measurements, metadata)


@tool
def emits_odd_things() -> None:
    class Broken:
        def __str__(self):
            raise ValueError("no text")

    telemetry.emit("tool.odd", {"a": True, "b": "text", "c": None, "d": 2**80}, {"e": Broken()})
    telemetry.emit("bad\nname\x00", None, {"api_key": "hush-hush-1", "note": "token='hush-hush-2'"})
    telemetry.emit(7, {"x": [1]}, {1: "one"})
    telemetry.emit("tool.big", {}, {f"k{n}": "é" * 9000 for n in range(200)})
    telemetry.emit("tool.wrong", 5, "no mapping")


@tool
def ids() -> list:
    return [telemetry.correlation_id(), telemetry.traceparent()]


@tool
async def ids_async() -> list:
    await asyncio.sleep(0)
    return [telemetry.correlation_id(), telemetry.traceparent()]


@tool
def nested() -> str | None:
    with telemetry.span("outer", size=3) as outer:
        with telemetry.span("inner"):
            telemetry.emit("tool.inside", {"n": 1})
            log.warning("inside")
            rows.add(2)
        outer.set_attribute("later", True).add_event("moment", at="end")
        return outer.traceparent


@tool
async def nested_async() -> None:
    async with telemetry.span("outer"):
        await asyncio.gather(child("a"), child("b"))


async def child(name):
    with telemetry.span(name):
        await asyncio.sleep(0)
        with telemetry.span(name + ".below"):
            await asyncio.sleep(0)


@telemetry.span("decorated", kind="sync")
def decorated(n):
    with telemetry.span("within"):
        return n + 1


@telemetry.span("decorated")
async def decorated_async(n):
    await asyncio.sleep(0)
    with telemetry.span("within"):
        return n + 1


@telemetry.span("generated")
def generated(n):
    for number in range(n):
        with telemetry.span("item"):
            given = yield number
        if given:
            yield given
    return n


@telemetry.span("generated")
async def generated_async(n):
    for number in range(n):
        await asyncio.sleep(0)
        yield number


@tool
def decorators() -> list:
    out = [decorated(1)]
    source = generated(2)
    out.append(next(source))
    with telemetry.span("consumer"):
        # Between two items the generator's span is not the current one.
        out.append(source.send("given"))
    out.extend(source)
    return out


@tool
async def decorators_async() -> list:
    return [await decorated_async(1), *[n async for n in generated_async(2)]]


@tool
@telemetry.span("stream")
def stream(n: int):
    for number in range(n):
        telemetry.emit("tool.item", {"n": number})
        yield number


@tool
@telemetry.span("stream")
async def stream_async(n: int):
    for number in range(n):
        await asyncio.sleep(0)
        telemetry.emit("tool.item", {"n": number})
        yield number


@tool
def stream_open(n: int):
    with telemetry.span("opened"):
        for number in range(n):
            with telemetry.span(f"item-{number}"):
                pass
            yield number


@tool
async def stream_open_async(n: int):
    with telemetry.span("opened"):
        for number in range(n):
            with telemetry.span(f"item-{number}"):
                await asyncio.sleep(0)
            yield number


@tool
def fails() -> None:
    with telemetry.span("failing"):
        raise ValueError("password='hush-hush-3'")


@tool
def threads() -> None:
    def work(name):
        with telemetry.span(name):
            pass

    with telemetry.span("outer"):
        context = contextvars.copy_context()
        bound = telemetry.bind(work)
        started = [
            threading.Thread(target=context.run, args=(work, "copied")),
            threading.Thread(target=bound, args=("bound",)),
        ]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()


KEPT = []


@tool
def leaves_open() -> None:
    span = telemetry.span("left")
    span.__enter__()
    KEPT.append(span)


@tool
def drops_open() -> None:
    telemetry.span("forgotten").begin()


@tool
def closes_elsewhere() -> None:
    span = telemetry.span("elsewhere")
    with telemetry.span("before"):
        span.__enter__()
    thread = threading.Thread(target=span.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with telemetry.span("after"):
        pass


@tool
def closes_twice() -> None:
    span = telemetry.span("twice").begin()
    span.end()
    span.end()
    span.end()
    telemetry.span("never").end()
    with telemetry.span("again") as again, again:
        pass
    with telemetry.span("next"):
        pass


@tool
def crossed() -> None:
    first, second = telemetry.span("first"), telemetry.span("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with telemetry.span("third"):
        pass
    second.__exit__(None, None, None)
    with telemetry.span("fourth"):
        pass


@tool
def closes_in_a_task() -> None:
    async def main():
        span = telemetry.span("task")

        async def enter():
            span.__enter__()

        async def leave():
            span.__exit__(None, None, None)

        await asyncio.create_task(enter())
        await asyncio.create_task(leave())

    asyncio.run(main())


@tool
def former_form() -> None:
    with telemetry.span("work", {"step": "one"}, "cid-own"):
        assert telemetry.correlation_id() == "cid-own"
    try:
        with telemetry.span("tool.execution", attributes={"x": 1}):
            raise KeyError("gone")
    except KeyError:
        pass


@tool
def measures() -> None:
    rows.add(5, table="t")
    rows.add(attributes_of(rows), {"table": "u"})
    rows.add(-1)
    size.record(4096)
    size.record(float("nan"))
    depth.set(3)
    depth.set("no number")


def attributes_of(_):
    return 1


@tool
def floods(n: int) -> None:
    for number in range(n):
        telemetry.emit("tool.flood", {"n": number}, {"filler": "x" * 200})
        rows.add(1)


@tool
def host_tools(ctx: Context) -> list:
    with telemetry.span("asks"):
        inside = ctx.call_host_tool("score")
    return [inside, ctx.call_host_tool("score")]


@tool
def correlated() -> list:
    out = [telemetry.correlation_id()]
    telemetry.set_correlation_id("own")
    out.append(telemetry.correlation_id())
    out.append(dict(telemetry.outgoing_metadata()))
    return out


@tool
def environments() -> list:
    code = "import os; print(os.environ.get('TRACEPARENT'))"
    command = [sys.executable, "-S", "-c", code]

    def run(**options):
        return subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, **options
        ).stdout.strip()

    clean = {key: value for key, value in os.environ.items() if key != "TRACEPARENT"}
    with telemetry.span("starts"):
        inside = [telemetry.traceparent(), run(), run(env=telemetry.environment(clean))]
    return [run(), run(env=clean), *inside, os.environ.get("TRACEPARENT")]


@tool
def systems(path: str) -> list:
    code = os.system(f'echo "$TRACEPARENT" > {path}; exit 3')
    with os.popen('echo "$TRACEPARENT"') as opened:
        return [code >> 8, open(path).read().strip(), opened.read().strip()]


@tool
async def environment_async() -> str:
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", 'echo "$TRACEPARENT"', stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().strip()


@tool
def settings_now() -> bool:
    return telemetry.is_enabled()


@tool
def forks() -> int:
    pid = os.fork()
    if not pid:
        with telemetry.span("in the child"):
            telemetry.emit("tool.child", {"n": 1})
            log.warning("said by the child")
        os._exit(0 if telemetry.get_backend() is None and not telemetry.is_enabled() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Early(BaseAdapter):
    def initialize(self) -> None:
        with telemetry.span("initialize"):
            telemetry.emit("python.model.loaded", {"bytes": 1})

    @tool
    def early(self) -> None:
        pass
