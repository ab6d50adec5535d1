"""Tools whose stacks are known, line by line; a comment `at: NAME` marks where NAME is."""

import asyncio
import ctypes
import functools
import os
import re
import threading
import time

from snakepit_bridge import tool


def wait(path):
    with open(path) as pipe:  # at: wait
        return pipe.read()


@tool
def in_function(path: str) -> str:
    return outer(path)  # at: in_function


def outer(path):
    return wait(  # at: outer
        path,
    )


@tool
def in_lambda(path: str) -> str:
    inside = lambda: wait(  # noqa: E731  # at: <lambda>
        path
    )
    return inside()  # at: in_lambda


def steps(path):
    yield "first"
    yield wait(path)  # at: steps


@tool
def in_generator(path: str) -> str:
    return list(steps(path))[1]  # at: in_generator


async def inner(path):
    return wait(path)  # at: inner


@tool
async def in_coroutine(path: str) -> str:
    await asyncio.sleep(0)
    return await inner(path)  # at: in_coroutine


@tool
def in_callback(path: str) -> str:
    """Python code that C code calls: `sorted` calls the key, `reduce` a function."""

    def key(_):
        return wait(path)  # at: key

    def add(before, after):
        return before + sorted([after], key=key)[0]  # at: add

    return functools.reduce(add, ["a", "b"])  # at: in_callback


class Shape:
    @property
    def area(self):
        return wait(self.path)  # at: area

    def __init__(self, path):
        self.path = path


@tool
def in_method(path: str) -> str:
    return Shape(path).area  # at: in_method


@tool
def in_recursion(path: str, depth: int) -> str:
    def dive(left):
        if left == 0:
            return wait(path)  # at: dive
        return dive(left - 1)  # at: dive again

    return dive(depth)  # at: in_recursion


@tool
def spins(seconds: float) -> int:
    end, turns = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        turns += work(100)  # at: spins
    return turns


@tool
def counts(end: int) -> int:
    """A loop that calls nothing, so that an exception can only be raised at its end."""
    count = 0
    while count < end:
        count += 1
    return count


def work(count):
    return sum(n * n for n in range(count))


@tool
def sleeps_with_the_gil(seconds: float) -> None:
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))  # at: sleeps_with_the_gil


@tool
def matches(length: int) -> bool:
    return re.match("(a*)*b", "a" * length) is not None  # at: matches


@tool
def churns(seconds: float) -> int:
    """Start and end threads, generators, compiled code and forks."""
    end, made = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        names = {}
        exec(f"def f(n):\n    return n + {made}\n" * (1 + made % 7), names)
        thread = threading.Thread(target=use, args=(names["f"], made))
        thread.start()
        nest(made % 90)
        sum(chain(made % 40))
        thread.join()
        if made % 50 == 0 and (pid := os.fork()) == 0:
            os._exit(0)
        elif made % 50 == 0:
            os.waitpid(pid, 0)
        made += 1
    return made


def use(function, made):
    return function(made) + nest(made % 200)


def nest(left):
    return work(20) if left == 0 else nest(left - 1) + 1


def chain(left):
    if left:
        yield from chain(left - 1)
    yield left


@tool
def echo(text: str) -> str:
    return text
