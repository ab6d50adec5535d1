"""Attacks before a worker connects correctly."""

import os
import select
import socket
import threading
import time

from .wire import ESCAPE, LINK, connect, log


def _outcome(link):
    link.settimeout(5)
    try:
        return link.recv(10)
    except OSError as end:
        return repr(end)


def before_slot_taken_twice():
    first, second = connect(0, 0), connect(0, 0)
    log("second:", _outcome(second))
    first.close()


def before_bad_preambles():
    bad = {
        "token": {"token": bytes(32)},
        "worker": {"worker": b"main-99"},
        "escape": {"worker": (ESCAPE * 8).encode()[:60]},
        "no text": {"worker": b"\xff" * 64},
        "version": {"magic": b"SNAKEPT9"},
        "http": {"magic": b"GET / HT"},
    }
    for name, parts in bad.items():
        log(name, _outcome(connect(0, 0, **parts)))
    for kind, slot in ((0, 9), (1, 5), (7, 0)):
        log(kind, slot, _outcome(connect(kind, slot)))


def _silent(count):
    links = []
    for _ in range(count):
        link = socket.socket(socket.AF_UNIX)
        link.setblocking(False)
        try:
            link.connect(LINK)
        except OSError:
            link.close()
            break
        links.append(link)
    return links


def _is_closed(link):
    try:
        return link.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def before_silent_connections():
    """Open silent connections to the limit; report how many were closed, own and others."""
    global KEPT
    began = time.monotonic()
    ready, ask, answer = os.pipe(), os.pipe(), os.pipe()
    if os.fork() == 0:
        other = _silent(1)
        os.write(ready[1], b"!")
        os.read(ask[0], 1)
        os.write(answer[1], b"%d" % sum(map(_is_closed, other)))
        os._exit(0)
    os.read(ready[0], 1)
    KEPT = _silent(700)
    lost, over = 0, time.monotonic() + 2
    while lost < len(KEPT) - 256 and time.monotonic() < over:
        select.select(KEPT, [], [], 0.05)
        lost = sum(map(_is_closed, KEPT))
    os.write(ask[1], b"!")
    other = int(os.read(answer[0], 9))
    # After 5 s a connection is closed for its silence.
    late = " late" if time.monotonic() - began > 4.5 else ""
    log(f"places: {len(KEPT)} opened, {lost} lost, {other} of another process{late}")


def before_connections_without_end():
    def flood():
        while True:
            for link in _silent(300):
                link.close()

    threading.Thread(target=flood, daemon=True).start()


def before_the_host_is_full():
    """Waits until the host has no descriptor left, and then connects."""
    with open(os.environ["PYTHON_DIR"] + "/waiting", "wb"), open(os.environ["PYTHON_DIR"] + "/go", "rb") as go:
        go.read(1)
