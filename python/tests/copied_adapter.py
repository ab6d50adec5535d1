"""Tools that are running when their host dies. Each says so by opening a named pipe."""

import os
import signal
import subprocess
import time

from snakepit_bridge import tool


def says(mark):
    os.close(os.open(mark, os.O_WRONLY))


@tool
def busy(mark: str) -> None:
    says(mark)
    time.sleep(600)  # the tool sleeps


@tool
def gil(mark: str) -> int:
    says(mark)
    return sum(range(1 << 40))


@tool
def family(mark: str) -> None:
    subprocess.Popen(["sleep", "600"])
    says(mark)
    time.sleep(600)  # the tool sleeps


@tool
def stopped(mark: str) -> None:
    subprocess.Popen(["sleep", "600"])
    says(mark)
    os.kill(os.getpid(), signal.SIGSTOP)
