"""Tools that return their place in a trace, and emit telemetry."""

import asyncio
import contextvars
import ctypes
import os
import signal
import threading
import time

from snakepit_bridge import SessionContext, tool
from snakepit_bridge._native import (
    pack,
    telemetry_put,
    telemetry_settings,
    telemetry_trace,
    telemetry_trace_state,
    telemetry_version,
    unpack,
)

EVENT, SPAN, LOG, MEASUREMENT = 1, 2, 3, 4


def place():
    trace, call, correlation = telemetry_trace()
    return [trace and trace.hex(), call, correlation]


def event(name, **metadata):
    _, call, _ = telemetry_trace()
    return telemetry_put(EVENT, pack({"name": name, "metadata": metadata, "call": call}))


event("loaded")


@tool
def where():
    return place()


@tool
def where_state():
    return telemetry_trace_state()


@tool
async def where_async():
    await asyncio.sleep(0)
    child = await asyncio.gather(asyncio.create_task(_later()), asyncio.to_thread(place))
    assert child[0] == child[1] == place()
    return place()


async def _later():
    await asyncio.sleep(0)
    return place()


@tool
def where_stream(count: int):
    for _ in range(count):
        yield place()


@tool
async def where_async_stream(count: int):
    for _ in range(count):
        await asyncio.sleep(0)
        yield place()


@tool
def where_thread():
    """Runs on a thread outside of any call; with a copied context in the call, if traced."""
    found = []
    context = contextvars.copy_context()
    for target in (place, lambda: context.run(place)):
        thread = threading.Thread(target=lambda target=target: found.append(target()), daemon=True)
        thread.start()
        thread.join()
    return found


LEFT = []


@tool
async def leaves_a_task():
    """Leaves a task that continues while later calls run, and still belongs to this call."""
    LEFT.append(asyncio.create_task(_forever()))
    return place()


async def _forever():
    seen = []
    while True:
        seen.append(place())
        LEFT[1:] = [seen[-1]]
        await asyncio.sleep(0)


@tool
async def what_the_task_saw():
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [LEFT[1], place()]


@tool
def fails():
    raise ValueError("the reason")


@tool
def dies():
    event("last words")
    os.kill(os.getpid(), signal.SIGKILL)


@tool
def sleeps(path: str):
    with open(path, "w") as file:
        file.write("here")
    while True:
        time.sleep(0.01)  # the tool sleeps


@tool
def hangs(path: str):
    """Keeps the GIL, so that nothing stops it and signals wait."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    with open(path, "w") as file:
        file.write("here")
    event("held")
    ctypes.PyDLL(None).sleep(3600)  # the tool sleeps


@tool
def reports(name: str):
    trace, call, _ = telemetry_trace()
    now = time.time_ns()
    event(f"python.{name}", detail="text")
    span = trace[:16] + b"\x01" * 8 + trace[24:]
    fields = {"name": name, "trace": span, "parent": trace[16:24], "start_ns": now, "end_ns": now + 5, "call": call}
    telemetry_put(SPAN, pack(fields | {"attributes": {"n": 1, "x": 1.5, "yes": True, "t": "text"}, "kind": 2}))
    log = {"at_ns": now, "level": 30, "logger": "a.b", "message": f"{name} password=hunter22 \x1b[2J", "trace": trace, "call": call}
    telemetry_put(LOG, pack(log))
    measurement = {"name": name, "instrument": 0, "unit": "1", "value": 3, "attributes": {"k": "v"}, "trace": trace, "call": call}
    telemetry_put(MEASUREMENT, pack(measurement))
    telemetry_put(EVENT, pack({"name": "other call", "call": 2**60}))


@tool
def floods(count: int):
    return sum(not event("flood", padding="x" * 100) for _ in range(count))


@tool
def forks():
    """Returns whether a forked copy of the worker can report anything."""
    child = os.fork()
    if child == 0:
        said = event("copy") or telemetry_version() != 0
        os._exit(1 if said else 0)
    return os.waitpid(child, 0)[1]


@tool
def settings():
    version, packed = telemetry_settings()
    assert version == telemetry_version()
    return [version, unpack(packed)]


@tool
async def awaits(path: str):
    with open(path, "w") as file:
        file.write("here")
    await asyncio.sleep(3600)  # the tool sleeps


class Ending:
    """An adapter that emits telemetry in its clean-up."""

    @tool
    def nothing(self):
        return None

    def cleanup(self):
        event("cleaned")


@tool
def relays(tool: str, path: str, context: SessionContext) -> int:
    """Makes the host call a tool of another pool."""
    return context.call_host_tool("relay", tool=tool, path=path)


@tool
def holds(path: str):
    """Keeps its slot until the test releases it."""
    with open(path, "w") as file:
        file.write("here")
    while not os.path.exists(f"{path}.go"):
        time.sleep(0.005)  # the tool sleeps


@tool
def answers(path: str) -> int:
    return 7


@tool
def counts(path: str):
    yield from range(5)


@tool
def raises(path: str):
    raise ValueError("the reason")


@tool
def is_killed(path: str):
    os.kill(os.getpid(), signal.SIGKILL)
