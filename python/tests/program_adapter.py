"""Coroutines that start programs, for the tests of what a cancelled one leaves behind."""

import asyncio
import os
import subprocess

from snakepit_bridge import tool

KEPT: list[subprocess.Popen] = []


def command(file: str) -> str:
    """Return a shell with a child; both record their ids."""
    return f"sleep 3600 & echo $$ $! > {file}.tmp; mv {file}.tmp {file}; wait"


@tool
async def waits(how: str, file: str) -> None:
    await globals()[how](command(file))


async def loop(line: str) -> None:
    process = await asyncio.create_subprocess_shell(line)
    await process.wait()


async def task(line: str) -> None:
    await asyncio.gather(*(asyncio.create_task(loop(line)) for _ in range(1)))


async def ends_the_shell(line: str) -> None:
    process = await asyncio.create_subprocess_shell(line)
    try:
        await process.wait()
    finally:
        process.kill()


async def popen(line: str) -> None:
    KEPT.append(subprocess.Popen(line, shell=True))
    await asyncio.Event().wait()


async def blocks(line: str) -> None:
    subprocess.run(line, shell=True)


async def thread(line: str) -> None:
    await asyncio.to_thread(subprocess.run, line, shell=True)


async def with_a_hook(line: str) -> None:
    KEPT.append(subprocess.Popen(line, shell=True, preexec_fn=lambda: None))
    await asyncio.Event().wait()


async def executes(line: str) -> None:
    os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", line)
    await asyncio.Event().wait()


async def spawns(line: str) -> None:
    os.posix_spawn("/bin/sh", ["sh", "-c", line], os.environ)
    await asyncio.Event().wait()


async def session(line: str) -> None:
    KEPT.append(subprocess.Popen(line, shell=True, start_new_session=True))
    await asyncio.Event().wait()


async def copy(line: str) -> None:
    if os.fork() == 0:
        # The copy is no program; its child is one.
        subprocess.run(line, shell=True)
        os._exit(0)
    await asyncio.Event().wait()


@tool
async def leaves(file: str) -> None:
    """Leave a program that continues when the call is over."""
    KEPT.append(subprocess.Popen(command(file), shell=True))
