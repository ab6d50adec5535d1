"""Preamble, frames and messages, without the extension and without its checks."""

import os
import socket
import struct
import sys

LINK = os.environ["SNAKEPIT_WORKER_LINK"]
TOKEN = bytes.fromhex(os.environ["SNAKEPIT_WORKER_TOKEN"])
WORKER = os.environ["SNAKEPIT_WORKER_ID"].encode()
MODE = os.environ["PYTHON_MODE"]

# Kinds of frames, as in `snakepit-grpc/src/frame.rs`.
DESCRIBE, CALL, STREAM, MANY, SHUTDOWN = 1, 2, 3, 4, 5
DESCRIBED, RESULT, FAILED, CHUNK, END, ITEMS, REQUEST, CANCEL = 16, 17, 18, 19, 20, 21, 22, 23
CANCEL_CALL, PING, PONG, STOPPED, STACKS, NO_STACKS, GIL, TELEMETRY = 32, 33, 34, 35, 36, 37, 40, 42
RECALL, RECALLED = 38, 39
SECRET = 46

# Flags of frames.
PART = 8

NIL = b"\xc0"
ESCAPE = "\x1b]0;PWN\x07\x1b[2J"


def log(*words):
    print("hostile:", *words, file=sys.stderr, flush=True)


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def text(field, value):
    """A length-delimited field."""
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def number(field, value):
    """A varint field."""
    return varint(field << 3) + varint(value)


def frame(kind, call, head=b"", body=b"", flags=0, head_length=None, body_length=None, reserved=0):
    head_length = len(head) if head_length is None else head_length
    body_length = len(body) if body_length is None else body_length
    return struct.pack("<BBHIQQ", kind, flags, reserved, head_length, body_length, call) + head + body


def preamble(kind, slot, token=TOKEN, worker=WORKER, magic=b"SNAKEPT1"):
    return magic + bytes([kind, 0]) + struct.pack("<HH", slot, len(worker)) + token + worker


def connect(kind, slot, **parts):
    link = socket.socket(socket.AF_UNIX)
    link.connect(LINK)
    link.sendall(preamble(kind, slot, **parts))
    return link


def exactly(link, length):
    data = b""
    while len(data) < length:
        more = link.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read(link):
    """The next frame: kind, call, head, body."""
    kind, _, _, head, body, call = struct.unpack("<BBHIQQ", exactly(link, 24))
    return kind, call, exactly(link, head), exactly(link, body)


def tool(name, description=None, schema='{"type":"object"}', signature=None, file=None, stream=False):
    spec = text(1, name)
    if description is not None:
        spec += text(2, description)
    if stream:
        spec += number(5, 1)
    spec += text(100, schema)
    if file is not None:
        spec += text(103, file)
    if signature is not None:
        spec += text(105, signature)
    return text(7, spec)


def described(tools=None, slots=1, runtime="cpython", version="3.11", capabilities=("cancel", "many", "concurrency")):
    if MODE.startswith("recall_"):
        capabilities += ("recall",)
    head = number(1, 1) + text(2, runtime) + text(3, version) + number(4, 1) + number(5, slots) + number(6, os.getpid())
    head += tool("t") + tool("s", stream=True) if tools is None else tools
    return head + b"".join(text(8, one) for one in capabilities)


def error(code="SP3001", kind="E", message="x", extra=b""):
    return text(1, code) + text(2, kind) + text(4, message) + extra


def string(value):
    """A short string in MessagePack."""
    value = value.encode()
    return b"\xd9" + bytes([len(value)]) + value
