"""Tools that are hard to stop, each in its own way."""

import asyncio
import contextlib
import ctypes
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

from snakepit_bridge import Cancelled, Context, tool


def _say(path):
    Path(path).write_text("begun")


@tool
def pid():
    return os.getpid()


@tool
def spins_then_works():
    """Run much Python code after a cancelled call: a leftover exception would show here."""
    return sum(n % 7 for n in range(200_000))


@tool
def sees_the_flag(begun: str, ctx: Context):
    _say(begun)
    while not ctx.cancelled:
        time.sleep(0.005)  # the tool sleeps
    return "flag"


@tool
def asks_the_host(begun: str, ctx: Context):
    _say(begun)
    return ctx._native._request(2, "never", None, None)


@tool
def loops(begun: str):
    _say(begun)
    n = 0
    while True:
        n += 1


@tool
def sleeps(begun: str):
    _say(begun)
    time.sleep(3600)  # the tool sleeps


@tool
def locks(begun: str):
    lock = threading.Lock()
    lock.acquire()
    _say(begun)
    lock.acquire()


@tool
def reads(begun: str):
    one, _two = socket.socketpair()
    _say(begun)
    return one.recv(1)


@tool
def runs(begun: str):
    child = f"echo begun > {begun}; exec sleep 3600"
    subprocess.run(["sh", "-c", child], check=False)


@tool
def multiplies(begun: str):
    import numpy as np

    matrix = np.ones((200, 200))
    _say(begun)
    while True:
        matrix = (matrix @ matrix) * 1e-9


@tool
def swallows_once(begun: str):
    try:
        _say(begun)
        time.sleep(3600)  # the tool sleeps
    except BaseException:
        pass
    time.sleep(3600)  # the tool sleeps


@tool
def swallows_all(begun: str):
    _say(begun)
    while True:
        try:
            time.sleep(3600)  # the tool sleeps
        except BaseException:
            continue


@tool
def holds_the_gil(begun: str):
    _say(begun)
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


@tool
def generates(begun: str, closed: str):
    try:
        yield 1
        _say(begun)
        time.sleep(3600)  # the tool sleeps
    finally:
        Path(closed).write_text("closed")


@tool
async def awaits(begun: str, closed: str):
    try:
        _say(begun)
        await asyncio.sleep(3600)  # the tool sleeps
    finally:
        await asyncio.sleep(0)  # the tool sleeps
        Path(closed).write_text("closed")


@tool
async def blocks_its_loop(begun: str):
    _say(begun)
    time.sleep(3600)  # the tool sleeps


@tool
async def shields(begun: str, closed: str):
    _say(begun)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)  # the tool sleeps
        await asyncio.sleep(3600)  # the tool sleeps
    finally:
        Path(closed).write_text("closed")


@tool
async def agenerates(begun: str, closed: str):
    try:
        yield 1
        _say(begun)
        await asyncio.sleep(3600)  # the tool sleeps
    finally:
        Path(closed).write_text("closed")


@tool
def cleans_up(begun: str, closed: str):
    """Clean up for longer than a step of the cancellation, without being interrupted."""
    try:
        _say(begun)
        time.sleep(3600)  # the tool sleeps
    except Cancelled:
        time.sleep(0.3)  # the tool sleeps
        Path(closed).write_text("closed")
        raise


@tool
def short(seconds: float):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "done"
