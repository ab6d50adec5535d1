"""A host in plain Python that speaks the link of `proto/README.md` to one real worker process."""

import os
import secrets
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parent.parent
BOOT = "import sys; sys.path.append(sys.path.pop(0)); import snakepit_bridge._boot"
HEADER = struct.Struct("<BBHIQQ")
DESCRIBE, CALL, STREAM, MANY, SHUTDOWN, HOST_REPLY = 1, 2, 3, 4, 5, 6
DESCRIBED, REPLY, ERROR, CHUNK, END, MANY_REPLY = 16, 17, 18, 19, 20, 21
HOST_CALL, HOST_CANCEL = 22, 23
CANCEL, PING, PONG, PART = 32, 33, 34, 8
TIMEOUT = 60.0

ERROR_FIELDS = {
    1: "code", 2: "type", 3: "module", 4: "message", 5: "traceback", 6: "notes", 7: "cause",
    8: "file", 9: "line", 10: "source", 11: "help", 12: "path",
}  # fmt: skip
SPEC_FIELDS = {
    1: "name", 2: "description", 5: "supports_streaming", 100: "parameters_schema",
    101: "returns_schema", 102: "is_async", 103: "file", 104: "line", 105: "signature",
    106: "health_check",
}  # fmt: skip
DESCRIBED_FIELDS = {
    1: "protocol_version", 2: "runtime", 3: "runtime_version", 4: "gil_enabled",
    5: "slots", 6: "pid", 7: "tools", 8: "capabilities", 9: "gil_reenabled_by",
}  # fmt: skip
NUMBERS = {"line", "supports_streaming", "is_async", "health_check"}
NUMBERS |= {"protocol_version", "gil_enabled", "slots", "pid"}


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """Encode one protobuf field: text, bytes or an unsigned integer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data):
    """Return the (number, value) pairs of a protobuf message."""
    at = 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = take()
        if key & 7 == 0:
            yield key >> 3, take()
        elif key & 7 == 2:
            size = take()
            yield key >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError(f"unexpected wire type {key & 7}")


def message(data, names, repeated=(), nested=None):
    out = {name: [] for name in repeated}
    for number, value in fields(data):
        name = names.get(number)
        if name is None:
            continue
        if nested and name in nested:
            value = nested[name](value)
        elif isinstance(value, bytes):
            value = value.decode()
        if name in repeated:
            out[name].append(value)
        else:
            out[name] = value
    for name in names.values():
        out.setdefault(name, 0 if name in NUMBERS else None if name == "cause" else "")
    return out


def tool_error(data):
    return message(data, ERROR_FIELDS, ("notes",), {"cause": tool_error})


def described(data):
    return message(
        data,
        DESCRIBED_FIELDS,
        ("tools", "capabilities"),
        {"tools": lambda raw: message(raw, SPEC_FIELDS)},
    )


class ToolError(Exception):
    def __init__(self, fields):
        super().__init__(fields["message"])
        self.fields = fields
        self.code = fields["code"]


class Frame:
    def __init__(self, kind, flags, call_id, head, body):
        self.kind, self.flags, self.call_id, self.head, self.body = kind, flags, call_id, head, body

    def error(self):
        return ToolError(tool_error(self.head))


class Connection:
    """One accepted connection, its preamble read."""

    def __init__(self, sock):
        self.sock, self.parts = sock, {}
        sock.settimeout(TIMEOUT)
        magic, self.kind, _, self.slot, size = struct.unpack("<8sBBHH", self.read(14))
        self.token, self.worker_id = self.read(32), self.read(size).decode()
        assert magic == b"SNAKEPT1"

    def read(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.sock.recv(min(size - len(data), 1 << 20))
            if not part:
                raise ConnectionError("the worker closed the connection")
            data += part
        return bytes(data)

    def send(self, kind, call_id=0, head=b"", body=b"", flags=0):
        header = HEADER.pack(kind, flags, 0, len(head), len(body), call_id)
        self.sock.sendall(header + head + body)

    def receive(self):
        while True:
            kind, flags, _, head, body, call_id = HEADER.unpack(self.read(HEADER.size))
            head, whole = self.read(head), self.parts.pop(call_id, bytearray())
            whole += self.read(body)
            if not flags & PART:
                return Frame(kind, flags, call_id, head, bytes(whole))
            self.parts[call_id] = whole


class Request:
    """A request of a tool to its host."""

    def __init__(self, frame):
        from snakepit_bridge._native import unpack

        got = dict(fields(frame.head))
        self.number = frame.call_id
        self.call_id, self.op = got.get(1, 0), got.get(2, 0)
        self.name, self.timeout_us = got.get(3, b"").decode(), got.get(4, 0)
        self.trace = got.get(5, b"")
        self.raw = frame.body
        self.body = unpack(frame.body)


class HostFault(Exception):
    """Raised by `Worker.host` to answer with an error."""

    def __init__(self, code, text, help="", type=""):
        super().__init__(text)
        self.head = field(1, code) + field(4, text)
        self.head += (field(2, type) if type else b"") + (field(11, help) if help else b"")


#: Returned by `Worker.host` for a request that is answered later, or never.
LATER = object()


class Worker:
    """A worker process with its slot and control connections; a context manager."""

    def __init__(self, adapter, cwd=None, max_payload=1 << 20, env=None, describe=True, slots=1):
        self.folder = tempfile.mkdtemp(prefix="snakepit-test-")
        path = os.path.join(self.folder, "link")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        listener.settimeout(TIMEOUT)
        self.token, self.next_call = secrets.token_bytes(32), 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", BOOT],
            cwd=cwd or self.folder,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": str(PACKAGE_DIR),
                "PYTHONUNBUFFERED": "1",
                "SNAKEPIT_WORKER_LINK": path,
                "SNAKEPIT_WORKER_TOKEN": self.token.hex(),
                "SNAKEPIT_WORKER_ID": "test-1",
                "SNAKEPIT_WORKER_ADAPTER": adapter,
                "SNAKEPIT_WORKER_SLOTS": str(slots),
                "SNAKEPIT_WORKER_MAX_PAYLOAD": str(max_payload),
                **(env or {}),
            },
        )
        self.slot = self.control = None
        self.slots = [None] * slots  # `slot` is the one that is talked to
        # What answers the requests of tools: takes a `Request`, returns a value.
        self.host = lambda request: [request.op, request.name, request.body]
        self.requests, self.cancelled, self.extra = [], [], b""
        try:
            for _ in range(1 + slots):
                connection = Connection(self._accept(listener))
                if connection.kind == 1:
                    self.control = connection
                else:
                    self.slots[connection.slot] = connection
            self.slot = self.slots[0]
            listener.close()
            self.described = self.describe() if describe else None
        except BaseException:
            listener.close()
            self.close()
            raise

    def _accept(self, listener):
        # A worker that dies before it connects must not cost the whole time-out.
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(self.process.stderr, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(TIMEOUT)]
        if listener not in ready:
            _, errors = self.process.communicate(timeout=TIMEOUT)
            raise ConnectionError(f"the worker did not connect: {errors.decode()}")
        return listener.accept()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for connection in (*self.slots, self.control):
            if connection is not None:
                connection.sock.close()
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT)
        self.process.stdout.close()
        self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def describe(self):
        self.slot.send(DESCRIBE, 0, field(1, 1))
        frame = self.slot.receive()
        if frame.kind == ERROR:
            raise frame.error()
        assert frame.kind == DESCRIBED
        return described(frame.head)

    def begin(self, kind, tool, body, call_id=None, session="", timeout_us=0):
        self.next_call += 1
        call_id = self.next_call if call_id is None else call_id
        head = field(2, tool)
        head += field(1, session) if session else b""
        head += field(104, timeout_us) if timeout_us else b""
        head += field(101, 1) + field(103, call_id) + self.extra
        self.slot.send(kind, call_id, head, body)
        return call_id

    def receive(self):
        """Return the next frame that is no request of a tool; answers requests."""
        while True:
            frame = self.slot.receive()
            if frame.kind == HOST_CANCEL:
                self.cancelled.append(frame.call_id)
            elif frame.kind == HOST_CALL:
                self.serve(Request(frame))
            else:
                return frame

    def serve(self, request):
        self.requests.append(request)
        try:
            value = self.host(request)
        except HostFault as fault:
            self.slot.send(HOST_REPLY, request.number, fault.head, flags=2)
        else:
            if value is not LATER:
                self.reply(request.number, value)

    def reply(self, number, value):
        from snakepit_bridge._native import pack

        self.slot.send(HOST_REPLY, number, b"", pack(value))

    def next_request(self):
        """Return the next request of a tool, unanswered."""
        frame = self.slot.receive()
        assert frame.kind == HOST_CALL, frame.kind
        return Request(frame)

    def result(self, call_id):
        """Return the result of a call that was begun."""
        from snakepit_bridge._native import unpack

        return unpack(self.raw(call_id))

    def raw(self, call_id):
        frame = self.receive()
        assert frame.call_id == call_id
        if frame.kind == ERROR:
            raise frame.error()
        assert frame.kind == REPLY
        return frame.body

    def start(self, tool, /, **kwargs):
        from snakepit_bridge._native import pack

        options = kwargs.pop("options", {})
        return self.begin(CALL, tool, pack(kwargs), **options)

    def call_raw(self, tool, body, **options):
        return self.raw(self.begin(CALL, tool, body, **options))

    def call(self, tool, /, *args, **kwargs):
        from snakepit_bridge._native import pack, unpack

        return unpack(self.call_raw(tool, pack(kwargs if kwargs else list(args))))

    def fail(self, tool, /, *args, **kwargs):
        """Return the `ToolError` fields of a call that must fail."""
        try:
            got = self.call(tool, *args, **kwargs)
        except ToolError as error:
            return error.fields
        raise AssertionError(f"the call returned {got!r}")

    def stream(self, tool, /, **kwargs):
        from snakepit_bridge._native import pack, unpack

        call_id = self.begin(STREAM, tool, pack(kwargs))
        while True:
            frame = self.receive()
            assert frame.call_id == call_id
            if frame.kind == END:
                return
            if frame.kind == ERROR:
                raise frame.error()
            assert frame.kind == CHUNK
            yield unpack(frame.body)

    def many(self, tool, items):
        """Send all items in one frame; return the list of results and `ToolError`s."""
        from snakepit_bridge._native import pack, unpack

        bodies = [pack(item) for item in items]
        packed = b"".join(struct.pack("<I", len(body)) + body for body in bodies)
        self.begin(MANY, tool, packed)
        out = []
        while True:
            frame = self.receive()
            if frame.kind == ERROR:
                raise frame.error()
            assert frame.kind == MANY_REPLY
            at = 0
            while at < len(frame.body):
                status, size = struct.unpack_from("<BI", frame.body, at)
                data = frame.body[at + 5 : at + 5 + size]
                at += 5 + size
                out.append(ToolError(tool_error(data)) if status else unpack(data))
            if frame.flags & 1:
                return out

    def on(self, slot):
        self.slot = self.slots[slot]
        return self

    def shutdown(self):
        for slot in self.slots:
            slot.send(SHUTDOWN)
        return self.process.wait(TIMEOUT)
