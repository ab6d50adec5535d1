"""A host that receives the telemetry of one real worker."""

import struct
from collections import Counter

from minihost import SHUTDOWN, TIMEOUT, Worker, field, fields, varint

TELEMETRY, TELEMETRY_CONTROL = 42, 43
EVENT, SPAN, LOG, MEASUREMENT = 1, 2, 3, 4
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
TOOL = bytes.fromhex("00f067aa0ba902b7")
SAMPLED, UNSAMPLED = TRACE + TOOL + b"\x01", TRACE + TOOL + b"\x00"
PARENT = f"00-{TRACE.hex()}-{TOOL.hex()}-01"


def settings(enabled=True, sampling=1.0, allow=(), deny=(), levels=None):
    """Encode a `TelemetrySettings`."""
    out = field(1, int(enabled)) + varint(2 << 3 | 1) + struct.pack("<d", sampling)
    out += b"".join(field(3, glob) for glob in allow) + b"".join(field(4, glob) for glob in deny)
    for name, level in (levels or {}).items():
        out += field(5, field(1, name) + field(2, level))
    return out


class Observed(Worker):
    """A worker whose records are kept in `records`, as pairs of kind and map."""

    def __init__(self, adapter, first=None, env=None, **options):
        first = settings() if first is None else first
        self.records, self.dropped = [], 0
        env = {"SNAKEPIT_WORKER_TELEMETRY": first.hex(), **(env or {})}
        super().__init__(adapter, env=env, **options)

    def control_settings(self, **values):
        self.control.send(TELEMETRY_CONTROL, 0, settings(**values))

    def begin(self, kind, tool, body, trace=SAMPLED, correlation="cid-1", state=None, **options):
        """Begin a call with a trace context."""
        self.extra = (field(105, trace) if trace else b"") + (
            field(106, correlation) if correlation else b""
        )
        self.extra += field(107, state) if state else b""
        return super().begin(kind, tool, body, **options)

    def take(self):
        """Read one frame of the control connection."""
        self.keep(self.control.receive())

    def keep(self, frame):
        """Keep the records of a frame, if it has any."""
        from snakepit_bridge._native import unpack

        if frame.kind != TELEMETRY:
            return
        for number, value in fields(frame.head):
            if number == 2:
                self.dropped += value
                continue
            record = dict(fields(value))
            self.records.append((record[1], unpack(record[2])))

    def end(self):
        """Shut the worker down, and keep everything that it still sends."""
        for slot in self.slots:
            slot.send(SHUTDOWN)
        try:
            while True:
                self.take()
        except ConnectionError:
            return self.process.wait(TIMEOUT)

    def until(self, **counts):
        """Read until there are that many records of each kind; return lists by kind."""
        kinds = {"events": EVENT, "spans": SPAN, "logs": LOG, "measurements": MEASUREMENT}
        while True:
            have = Counter(kind for kind, _ in self.records)
            if all(have[kinds[name]] >= number for name, number in counts.items()):
                break
            self.take()
        got = {
            name: [r for kind, r in self.records if kind == number]
            for name, number in kinds.items()
        }
        self.records = []
        return got

    def only(self, **counts):
        """Read as `until` does, and check that nothing else came before a last mark."""
        self.call_plain("mark")
        got = self.until(events=counts.get("events", 0) + 1)
        marks = [event for event in got["events"] if event["name"] == "tool.mark"]
        got["events"] = [event for event in got["events"] if event["name"] != "tool.mark"]
        assert len(marks) == 1
        for name, records in got.items():
            assert len(records) == counts.get(name, 0), (name, records)
        return got

    def call_plain(self, tool, /, **kwargs):
        """Make a call without a trace."""
        return self.result(self.start(tool, options={"trace": b"", "correlation": ""}, **kwargs))
