"""What a worker may do before it connects as it should."""

import os
import socket
import threading

from .wire import ESCAPE, LINK, WORKER, connect, log


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


def before_silent_connections():
    global KEPT
    KEPT = _silent(700)
    log("silent connections of", WORKER, len(KEPT))


def before_connections_without_end():
    def flood():
        while True:
            for link in _silent(300):
                link.close()

    threading.Thread(target=flood, daemon=True).start()


def before_the_host_is_full():
    """Waits until the host has no descriptor left, and connects then."""
    with open(os.environ["PYTHON_DIR"] + "/waiting", "wb"), open(os.environ["PYTHON_DIR"] + "/go", "rb") as go:
        go.read(1)
