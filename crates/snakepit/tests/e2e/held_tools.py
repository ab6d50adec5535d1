"""Tools that block their worker, and others that wait behind them."""

import os
import time
from pathlib import Path

from snakepit_bridge import tool


@tool
def blocks(begun: str) -> None:
    """Blocks; cannot be stopped on a thread other than the main one."""
    Path(begun).write_text(f"{os.getpid()}\n")
    while True:
        try:
            time.sleep(1000)  # the tool sleeps
        except BaseException:
            continue


@tool
async def blocks_loop(begun: str) -> None:
    """Blocks the event loop; cannot be stopped."""
    Path(begun).write_text(f"{os.getpid()}\n")
    while True:
        try:
            time.sleep(1000)  # the tool sleeps
        except BaseException:
            continue


def _note(path: str, number: int) -> int:
    with open(path, "a") as file:
        file.write(f"{number}\n")
    return os.getpid()


@tool
def note(path: str, number: int) -> int:
    return _note(path, number)


@tool
async def note_loop(path: str, number: int) -> int:
    return _note(path, number)


@tool
def note_stream(path: str, number: int):
    yield _note(path, number)


@tool
async def note_stream_loop(path: str, number: int):
    yield _note(path, number)
