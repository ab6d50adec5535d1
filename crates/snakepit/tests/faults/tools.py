"""Tools that do harm."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from snakepit_bridge import Context, SessionContext, tool


@tool
def pid() -> int:
    return os.getpid()


@tool
def nap(ms: int) -> int:
    time.sleep(ms / 1000)  # the tool sleeps
    return os.getpid()


@tool
def sleep(started: str) -> None:
    """Reports that it runs and sleeps in a system call."""
    Path(started).write_text(str(os.getpid()))
    time.sleep(3600)  # the tool sleeps


kept: list[bytes] = []


@tool
def keep(mib: int) -> None:
    """Allocates memory that it never frees."""
    kept.append(b"x" * (mib << 20))


@tool
def note(ledger: str, text: str) -> str:
    """Records in a file that it ran."""
    with open(ledger, "a") as file:
        file.write(text + "\n")
    return text


@tool
def note_nap(ledger: str, text: str, ms: int) -> int:
    """Records in a file when it begins and when it is done."""
    with open(ledger, "a") as file:
        file.write(f"{text} begins\n")
    time.sleep(ms / 1000)  # the tool sleeps
    with open(ledger, "a") as file:
        file.write(f"{text} done\n")
    return os.getpid()


@tool
def wait(started: str, go: str) -> int:
    """Reports that it runs and waits for a file."""
    Path(started).write_text(str(os.getpid()))
    while not os.path.exists(go):
        time.sleep(0.002)  # the tool sleeps
    return os.getpid()


@tool
def persist(started: str, go: str) -> int:
    """Waits for a file and resists being stopped before it exists."""
    Path(started).write_text(str(os.getpid()))
    while not os.path.exists(go):
        try:
            time.sleep(0.002)  # the tool sleeps
        except BaseException:
            continue
    return os.getpid()


@tool
def outlive(started: str, go: str, done: str) -> int:
    """Continues after its caller has gone, reports that, and records when it is done."""
    wait(started, go)
    print("done", flush=True)
    Path(done).write_text("done")
    return 0


@tool
def hold_gil(started: str, amount: int) -> int:
    """Stays inside one C function that never releases the interpreter."""
    Path(started).write_text(str(os.getpid()))
    return sum(range(amount))


@tool
def family() -> list[int]:
    """Starts children that share the group."""
    return [subprocess.Popen(["/bin/sleep", "600"]).pid for _ in range(2)]


@tool
def daemon(file: str) -> int:
    """Starts a grandchild with a session of its own."""
    script = f"echo $$ > {file}.new; mv {file}.new {file}; exec sleep 600"
    subprocess.Popen(["/usr/bin/setsid", "-f", "/bin/sh", "-c", script]).wait()
    return os.getpid()


@tool
def stubborn() -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return os.getpid()


@tool
def stop_self(started: str) -> None:
    Path(started).write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)


@tool
def die(how: str) -> None:
    if how == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(3)


@tool
def read_null(ledger: str) -> None:
    """Records in a file that it ran, and segfaults in C."""
    import ctypes

    note(ledger, "poison")
    ctypes.string_at(0)


@tool
def count(n: int, pid_file: str, go: str) -> Iterator[int]:
    """Yields half of the numbers, then waits for a file."""
    Path(pid_file).write_text(str(os.getpid()))
    for i in range(n):
        if i == n // 2:
            while not os.path.exists(go):
                time.sleep(0.002)  # the tool sleeps
        yield i


@tool
def blow_up(mib: int) -> int:
    return len(bytearray(mib << 20))


@tool
def limit_memory(mib: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))


@tool
def size(data) -> int:
    return len(data)


@tool
def big(n: int) -> bytes:
    return bytes(n)


@tool
def deep(n: int):
    value: list = []
    for _ in range(n):
        value = [value]
    return value


@tool
def hide() -> int:
    """Changes its name to one that confuses readers of /proc, and its arguments."""
    Path("/proc/self/comm").write_text("a) R 1 2")
    return os.getpid()


@tool
def shout(n: int) -> int:
    for _ in range(n):
        print("x" * 100, file=sys.stderr)
    return n


@tool
def environment() -> list[str]:
    return [name for name in os.environ]


@tool
def descriptors() -> list[str]:
    out = []
    for name in os.listdir("/proc/self/fd"):
        try:
            out.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            pass
    return out


@tool
def session(*, ctx: Context) -> str:
    return f"{ctx.session_id}"


@tool
def ask_host(names: list[str], ctx: SessionContext) -> list[object]:
    """Calls these host tools one after the other."""
    return [ctx.call_host_tool(name) for name in names]


@tool
def undumpable() -> int:
    """Makes this process undumpable, so that its memory cannot be read."""
    import ctypes

    pr_set_dumpable = 4
    if ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0) != 0:
        raise OSError("prctl")
    return os.getpid()


@tool
def write_late(started: str, file: str) -> int:
    """Reports that it runs and writes a file."""
    Path(started).write_text(str(os.getpid()))
    Path(file).write_text("late")
    return os.getpid()


@tool
def fail(text: str) -> None:
    raise ValueError(text)


@tool
def threads() -> int:
    return len(os.listdir("/proc/self/task"))
