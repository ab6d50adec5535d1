"""A worker that connects correctly, and then misbehaves in its mode."""

import os
import threading

from . import wire

if wire.MODE.startswith("before_"):
    from . import before

    getattr(before, wire.MODE)()
from . import answers, control, recalls, requests, starts, telemetry, values


def serve_control(link):
    try:
        while True:
            kind, call, _, _ = wire.read(link)
            if kind == wire.RECALL:
                recalls.answer(link, call)
            else:
                control.answer(link, kind, call)
    except (EOFError, OSError):
        os._exit(0)


def find(module):
    return getattr(module, wire.MODE, None)


def main():
    channel = wire.connect(1, 0)
    link = wire.connect(0, 0)
    threading.Thread(target=serve_control, args=(channel,), daemon=True).start()
    describe, reply = find(starts), find(answers) or find(requests) or find(recalls) or find(values)
    on_control = find(control) or find(telemetry)
    while True:
        kind, call, _, _ = wire.read(link)
        if kind == wire.DESCRIBE:
            if describe:
                describe(link, call)
            else:
                link.sendall(wire.frame(wire.DESCRIBED, call, wire.described()))
        elif kind in (wire.CALL, wire.STREAM, wire.MANY):
            if on_control:
                on_control(channel, link, call)
            elif reply:
                reply(link, call)
            else:
                link.sendall(wire.frame(wire.RESULT, call, b"", wire.NIL))
        elif kind == wire.SHUTDOWN:
            os._exit(0)


try:
    main()
except (EOFError, OSError) as end:
    wire.log("the connection ended:", end)
    os._exit(1)
