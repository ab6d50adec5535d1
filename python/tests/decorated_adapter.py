"""Tools under decorators of every kind."""

import asyncio
import contextlib
import functools
import inspect
import typing

from snakepit_bridge import BaseAdapter, tool

__thread_safe__ = True


def passes(function):
    """Inspect the call and pass it on."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        result = function(*args, **kwargs)
        return result

    return wrapper


def listed(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return list(function(*args, **kwargs))

    return wrapper


def blocking(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return asyncio.run(function(*args, **kwargs))

    return wrapper


def retried(function):
    """Retry the call, as libraries for retries do."""

    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        for _ in range(2):
            try:
                return await function(*args, **kwargs)
            except ValueError:
                continue
        return "given up"

    wrapper.retry = object()
    return wrapper


def unseen(function):
    """Pass a coroutine on in a way that the source does not show."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        results = [function(*args, **kwargs)]
        return results[0]

    return wrapper


def collected(function):
    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        return [item async for item in function(*args, **kwargs)]

    return wrapper


class Counted:
    """A decorator that is a class."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function, self.calls = function, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return [self.calls, self.function(*args, **kwargs)]


class Doubler:
    """A tool that is an instance."""

    def __init__(self, by):
        self.by = by

    def __call__(self, x: int) -> int:
        return x * self.by


class Later:
    async def __call__(self, x: int) -> int:
        await asyncio.sleep(0)
        return x + 1


def generate(n: int) -> typing.Iterator[int]:
    yield from range(n)


async def wait(n: int) -> int:
    await asyncio.sleep(0)
    return n


async def agenerate(n: int):
    for item in range(n):
        yield item


list_of_generator = tool(name="list_of_generator")(listed(generate))
passed_generator = tool(name="passed_generator")(passes(generate))
run_of_coroutine = tool(name="run_of_coroutine")(blocking(wait))
passed_coroutine = tool(name="passed_coroutine")(passes(wait))
unseen_coroutine = tool(name="unseen_coroutine")(unseen(wait))
retried_coroutine = tool(name="retried_coroutine")(retried(wait))
twice = tool(name="twice")(retried(passes(retried(wait))))
list_of_async = tool(name="list_of_async")(collected(agenerate))
passed_async = tool(name="passed_async")(passes(agenerate))
streamed = tool(name="streamed", streaming=True)(unseen(generate))
cached = tool(name="cached")(functools.lru_cache(None)(lambda n: n * 2))
doubled = tool(name="doubled")(Doubler(2))
later = tool(name="later")(Later())
part = tool(name="part")(functools.partial(functools.partial(generate), n=2))
part_of_wait = tool(name="part_of_wait")(functools.partial(wait, 3))
part_of_list = tool(name="part_of_list")(functools.partial(listed(generate), 3))


@tool
@Counted
def counted(n: int) -> int:
    return n


@tool
@functools.lru_cache
def remembered(n: int) -> int:
    return n + 1


@tool
@functools.singledispatch
def shown(x: int | str | list[int]) -> str:
    return "anything"


@shown.register
def _(x: int) -> str:
    return "a number"


@tool
@contextlib.contextmanager
def manager(n: int):
    yield n


@contextlib.contextmanager
def around():
    yield


@tool
@around()
def inside(n: int) -> int:
    return n


@tool
@around()
async def inside_of_coroutine(n: int) -> int:
    return n


def signed(x, y=2):
    return [x, y]


signed.__signature__ = inspect.Signature(
    [
        inspect.Parameter("x", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=float),
        inspect.Parameter("y", inspect.Parameter.KEYWORD_ONLY, default=5, annotation="int"),
    ],
    return_annotation=list[float],
)
tool(signed)


@tool(name="signed_below")
@passes
@functools.wraps(signed)
def signed_below(*args, **kwargs):
    return signed(*args, **kwargs)


class Methods(BaseAdapter):
    __thread_safe__ = True

    @tool
    @staticmethod
    def static(x: int) -> int:
        return x

    @staticmethod
    @tool
    def static_below(x: int) -> int:
        return x

    @tool
    @classmethod
    def of_class(cls, x: int) -> str:
        return f"{cls.__name__} {x}"

    @classmethod
    @tool
    def of_class_below(cls, x: int) -> str:
        return f"{cls.__name__} {x}"

    @tool
    @listed
    def method_list(self, n: int):
        yield from range(n)

    @tool
    @passes
    async def method_wait(self, n: int) -> int:
        return n

    def _scaled(self, x: float, by: float) -> float:
        return x * by

    thrice = tool(name="thrice")(functools.partialmethod(_scaled, by=3.0))
