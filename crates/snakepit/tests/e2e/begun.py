"""Tools of all kinds that start a program without an environment, in a session of its own."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator

from snakepit_bridge import tool

__thread_safe__ = True

SLEEP = ["/bin/sleep", "3600"]
APART = {"env": {}, "start_new_session": True}


def begin() -> int:
    return subprocess.Popen(SLEEP, **APART).pid


@tool
def function() -> int:
    return begin()


@tool
def generator() -> Iterator[int]:
    yield begin()


@tool
async def coroutine() -> int:
    return (await asyncio.create_subprocess_exec(*SLEEP, **APART)).pid


@tool
async def async_generator() -> AsyncIterator[int]:
    yield (await asyncio.create_subprocess_exec(*SLEEP, **APART)).pid


@tool
def orphan() -> int:
    """A child whose parent has ended."""
    script = "/bin/sleep 3600 >/dev/null & echo $!"
    return int(subprocess.run(["/bin/sh", "-c", script], **APART, stdout=-1, check=True).stdout)


@tool
def blocked() -> str:
    """The signals that a program has blocked when it begins."""
    told = subprocess.run(["grep", "SigBlk", "/proc/self/status"], stdout=-1, check=True).stdout
    return told.decode().split()[1]


@tool
def pid() -> int:
    return os.getpid()
