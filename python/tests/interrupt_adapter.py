"""Tools that are cancelled where an exception would leave an unknown state."""

import threading
import time
from contextlib import contextmanager

from snakepit_bridge import tool

__thread_safe__ = True
LOCK = threading.Lock()


def begin(begun: str) -> None:
    with open(begun, "w") as file:
        file.write("begun")


@tool
def imports(folder: str) -> bool:
    """Import a module that takes a while; its last line is its last name."""
    import sys

    sys.path.insert(0, folder)
    import slow_module

    return slow_module.DONE


@tool
def imported() -> bool:
    import sys

    return sys.modules["slow_module"].DONE


class Held:
    """Holds a lock that only its exit releases."""

    def __init__(self, begun: str) -> None:
        self.begun = begun

    def __enter__(self) -> None:
        LOCK.acquire()
        begin(self.begun)
        spin()

    def __exit__(self, *_: object) -> None:
        LOCK.release()


def spin() -> None:
    while True:
        pass


@contextmanager
def held(begun: str):
    LOCK.acquire()
    begin(begun)
    spin()
    try:
        yield
    finally:
        LOCK.release()


@tool
def enters(begun: str) -> None:
    with Held(begun):
        pass


@tool
def enters_a_generator(begun: str) -> None:
    with held(begun):
        pass


@tool
def acquires(begun: str) -> None:
    begin(begun)
    while True:
        LOCK.acquire()
        LOCK.release()


@tool
def loops(begun: str) -> None:
    begin(begun)
    while True:
        pass


@tool
def loops_while(begun: str) -> None:
    begin(begun)
    n = 0
    while n >= 0:
        n += 1


@tool
def sleeps(begun: str) -> None:
    begin(begun)
    time.sleep(600)  # the tool sleeps


@tool
async def blocks(begun: str) -> None:
    begin(begun)
    time.sleep(600)  # the tool sleeps


@tool
async def awaits(begun: str) -> None:
    import asyncio

    begin(begun)
    await asyncio.sleep(600)  # the tool sleeps


@tool
def nothing() -> None:
    pass
