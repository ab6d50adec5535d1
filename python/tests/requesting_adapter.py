"""Tools that make requests to the host."""

import array
import asyncio
import gc
import os
import threading

from snakepit_bridge import BaseAdapter, Cancelled, Context, tool

PING = 40
kept = []


def ask(ctx, body=None, name="n", timeout=None, op=PING):
    return ctx._native._request(op, name, body, timeout)


@tool
def once(ctx: Context, x):
    return ask(ctx, x)


@tool
def in_turn(ctx: Context, n: int):
    return sum(ask(ctx, i)[2] for i in range(n))


@tool
def threads(ctx: Context, n: int, each: int):
    results = [None] * n

    def work(index):
        results[index] = [ask(ctx, [index, i])[2] for i in range(each)]

    started = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for thread in started:
        thread.start()
    mine = [ask(ctx, ["own", i])[2] for i in range(each)]
    for thread in started:
        thread.join()
    right = [[[i, k] for k in range(each)] for i in range(n)]
    return results == right and mine == [["own", k] for k in range(each)]


@tool
async def gather(ctx: Context, n: int):
    answers = await asyncio.gather(
        *(ctx._native._request_async(PING, "n", i, None) for i in range(n))
    )
    return [answer[2] for answer in answers]


@tool
async def mixed(ctx: Context, n: int):
    """Use threads, blocking requests of the loop's thread and awaited ones, all at once."""
    loop = asyncio.get_running_loop()
    blocking = [loop.run_in_executor(None, ask, ctx, ["t", i]) for i in range(n)]
    awaited = [ctx._native._request_async(PING, "n", ["a", i], None) for i in range(n)]
    own = [ask(ctx, ["o", i])[2] for i in range(n)]
    others = await asyncio.gather(*blocking, *awaited)
    expected = [["t", i] for i in range(n)] + [["a", i] for i in range(n)]
    return [other[2] for other in others] == expected and own == [["o", i] for i in range(n)]


@tool
def stream(ctx: Context, n: int):
    for i in range(n):
        yield ask(ctx, i)[2]


@tool
async def astream(ctx: Context, n: int):
    for i in range(n):
        yield (await ctx._native._request_async(PING, "n", i, None))[2]


@tool
def own_loops(ctx: Context, n: int):
    """Create and close loops, as `asyncio.run` does; return how many the runtime still holds."""
    from snakepit_bridge._host import requests

    async def work(i):
        return (await ctx._native._request_async(PING, "n", i, None))[2]

    answers = []
    for i in range(n):
        thread = threading.Thread(target=lambda i=i: answers.append(asyncio.run(work(i))))
        thread.start()
        thread.join()
    gc.collect()
    return [answers, len(requests._loops)]


@tool
async def not_awaited(ctx: Context):
    kept[:] = [ctx._native._request_async(PING, "n", None, None)]
    return "over"


@tool
async def awaited_later():
    try:
        return await kept[0]
    except Exception as error:
        return described(error)


def described(error):
    fields = [getattr(error, name, None) for name in ("code", "help", "type_name")]
    return [type(error).__name__, str(error), *fields]


@tool
def failing(ctx: Context, timeout: float | None = None):
    try:
        return ask(ctx, timeout=timeout)
    except Exception as error:
        return described(error)


@tool
async def afailing(ctx: Context, timeout: float | None = None):
    try:
        return await ctx._native._request_async(PING, "n", None, timeout)
    except Exception as error:
        return described(error)


@tool
async def give_up(ctx: Context):
    """Cancel an awaited request by its own task."""
    try:
        await asyncio.wait_for(ctx._native._request_async(PING, "n", "slow", None), 0.05)
    except asyncio.TimeoutError:
        return (await ctx._native._request_async(PING, "n", "next", None))[2]


@tool
def cancelled(ctx: Context):
    try:
        return ask(ctx)
    except Cancelled:
        return "cancelled"


@tool
async def acancelled(ctx: Context):
    try:
        return await ctx._native._request_async(PING, "n", None, None)
    except Cancelled:
        return "cancelled"


@tool
def leave_behind(ctx: Context):
    """Leave a thread that waits for the host when the call is over."""
    kept[:] = [ctx, None]
    asked = threading.Event()

    def work():
        asked.set()
        try:
            ask(ctx, "left")
        except Exception as error:
            kept[1] = described(error)

    kept.append(threading.Thread(target=work))
    kept[2].start()
    asked.wait()
    return "over"


@tool
def what_became():
    kept[2].join(60)
    return kept[1]


@tool
def use_after():
    try:
        return ask(kept[0])
    except Exception as error:
        return described(error)


@tool
def in_fork(ctx: Context):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ask(ctx)
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    return [os.read(reader, 1000).decode(), ask(ctx, "parent")[2]]


@tool
def size_of(ctx: Context, n: int):
    """Make a large request with a large answer."""
    answer = ask(ctx, bytes(n))
    return [len(answer[2]), len(ask(ctx, "small")[2])]


@tool
def too_large(ctx: Context, n: int):
    try:
        ask(ctx, bytes(n))
    except Exception as error:
        return described(error)


@tool
def doubles(ctx: Context, n: int):
    answer = ask(ctx, array.array("d", range(n)))[2]
    return [type(answer).__module__ + "." + type(answer).__name__, float(sum(answer))]


class Adapter(BaseAdapter):
    @tool
    def method(self, x):
        return ask(self.session_context, x)[2]
