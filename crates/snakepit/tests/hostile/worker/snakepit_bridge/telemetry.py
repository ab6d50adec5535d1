"""Bad records on the control connection, and bad spans in answers."""

import struct

from .wire import END, ESCAPE, FAILED, NIL, RESULT, TELEMETRY, error, frame, number, text

EVENT, SPAN, LOG, MEASUREMENT = 1, 2, 3, 4
TRACE = bytes(range(1, 25)) + b"\x01"


def pack(value):
    """Encodes MessagePack, as far as records need it."""
    if value is None:
        return NIL
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value) if value < 2**63 else b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogateescape")
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    pairs = (pack(key) + pack(item) for key, item in value.items())
    return b"\xdf" + struct.pack(">I", len(value)) + b"".join(pairs)


def record(kind, body):
    body = body if isinstance(body, bytes) else pack(body)
    return text(1, number(1, kind) + text(2, body))


def telemetry(*records, dropped=0):
    return frame(TELEMETRY, 0, b"".join(records) + number(2, dropped))


def answer(link, call):
    link.sendall(frame(RESULT, call, b"", NIL))


def telemetry_garbage(channel, link, call):
    for size in (1, 3, 1000, 60_000):
        channel.sendall(frame(TELEMETRY, 0, b"\xff" * size))
        channel.sendall(frame(TELEMETRY, 0, b"\x0a" * size))
    answer(link, call)


def telemetry_of_a_megabyte(channel, link, call):
    channel.sendall(frame(TELEMETRY, 0, b"\x0a\x00" * (1 << 19)))
    answer(link, call)


def telemetry_with_a_body(channel, link, call):
    channel.sendall(frame(TELEMETRY, 0, b"", b"x" * 100))
    answer(link, call)


def telemetry_of_empty_records(channel, link, call):
    for _ in range(200):
        channel.sendall(frame(TELEMETRY, 0, b"\x0a\x00" * (1 << 15)))
    answer(link, call)


def telemetry_dropped_for_ever(channel, link, call):
    for _ in range(100):
        channel.sendall(telemetry(dropped=2**64 - 1))
    answer(link, call)


def telemetry_of_wrong_records(channel, link, call):
    deep = b"\x91" * 10_000 + NIL
    bodies = [
        b"", b"\xc1", NIL, deep, b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\x81" + deep,
        {"name": ESCAPE}, {"name": ""}, {"name": "x" * 10_000}, {"name": 7}, {"name": "\udcff"}, {"name": None},
        {"name": "a", "measurements": {"b": "c"}}, {"name": "a", "metadata": {"b": []}}, {"name": "a", "call": -1},
        {"name": "a", "metadata": {str(n): "x" for n in range(800)}}, {"name": "a", "metadata": {ESCAPE: ESCAPE}},
        {"name": "a", "trace": TRACE, "start_ns": 2**64 - 1, "end_ns": 0, "parent": bytes(8)},
        {"name": "a", "trace": bytes(25), "start_ns": 1, "end_ns": 2}, {"name": "a", "trace": TRACE[:24], "start_ns": 1, "end_ns": 2},
        {"name": "a", "trace": TRACE, "start_ns": 2**64 - 1, "end_ns": 2**64 - 1, "kind": 200, "attributes": {"a": {"b": 1}}},
        {"name": "a", "trace": TRACE, "start_ns": 1, "end_ns": 2, "events": [{}] * 500},
        {"at_ns": 2**64 - 1, "level": -(2**63), "logger": "", "message": ""},
        {"at_ns": -1, "level": 2**63, "logger": ESCAPE, "message": 7},
        {"name": "a", "instrument": 9, "value": 1}, {"name": "a", "instrument": 0, "value": float("nan")},
        {"name": "a", "instrument": 0, "value": -1}, {"name": "a", "instrument": 1, "value": "1", "unit": ESCAPE},
    ]  # fmt: skip
    for kind in (0, EVENT, SPAN, LOG, MEASUREMENT, 2**31):
        for body in bodies:
            channel.sendall(telemetry(record(kind, body)))
    channel.sendall(telemetry(record(EVENT, {"name": "still heard", "call": 2**63})))
    answer(link, call)


def telemetry_with_escapes(channel, link, call):
    for level in (0, 10, 20, 30, 40, 50):
        log = {"at_ns": 1, "level": level, "logger": ESCAPE, "message": f"forged {ESCAPE}\nERROR forged", "exception": ESCAPE}
        channel.sendall(telemetry(record(LOG, log | {"attributes": {"a": ESCAPE}})))
    channel.sendall(telemetry(record(EVENT, {"name": "e", "metadata": {"a": ESCAPE}})))
    answer(link, call)


def telemetry_with_secrets(channel, link, call):
    secret = "token='hush-hush-1'"
    log = {"at_ns": 1, "level": 40, "logger": "app", "message": f"sent {secret}", "exception": f"raised {secret}"}
    channel.sendall(telemetry(record(LOG, log)))
    answer(link, call)


def telemetry_flood(channel, link, call):
    """Sends 100,000 records three times, as fast as possible."""
    log = {"at_ns": 1, "level": 30, "logger": "flood", "message": "x" * 40, "call": call}
    many = telemetry(*[record(LOG, log)] * 250, *[record(EVENT, {"name": "flood", "call": n}) for n in range(250)])
    for _ in range(200):
        channel.sendall(many)
    answer(link, call)


def span_that_was_not_asked_for(channel, link, call):
    head = struct.pack("<BQ", 9, 1) + number(2, 5)
    link.sendall(frame(RESULT, call, head, NIL))


def span_of_garbage(channel, link, call):
    link.sendall(frame(RESULT, call, b"\xff" * 900_000, NIL))


def span_of_all_times(channel, link, call):
    head = struct.pack("<BQ", 9, 2**64 - 1) + number(2, 2**64 - 1) + number(3, 2**64 - 1) + number(4, 2**32 - 1)
    link.sendall(frame(RESULT, call, head, NIL))


def span_in_an_error(channel, link, call):
    span = text(13, struct.pack("<BQ", 9, 0) + number(4, 2**32 - 1))
    link.sendall(frame(FAILED, call, error(extra=span)))


def span_without_an_id_at_the_end(channel, link, call):
    link.sendall(frame(END, call, b"\x0a\x00"))


def telemetry_of_labels_without_end(channel, link, call):
    """Sends measurements whose labels have the largest size, and are never the same."""
    more = {f"label-{n}": "x" * 200 for n in range(60)}
    bodies = []
    for instrument in range(3):
        body = {"name": f"n{instrument}", "instrument": instrument, "value": 1, "attributes": {"n": "@" * 12} | more}
        bodies.append(pack(body).partition(b"@" * 12))
    for n in range(20_000):
        records = [record(MEASUREMENT, before + b"%012d" % n + after) for before, _, after in bodies]
        channel.sendall(telemetry(*records))
    answer(link, call)


def telemetry_of_forged_metrics(channel, link, call):
    names = ["up", "ALERTS", "snakepit.calls", "process.cpu.time", "a", "A", "a.b", "a_b", "a_b_total", "9", " ", "__name__"]
    forged = {"pool": "other", "le": "0.1", "quantile": "1", "__name__": "up", "a.b": 1, "a_b": 2, "job": '"} 1\n# EOF\n' + ESCAPE}
    for instrument in range(3):
        for name in names:
            for unit in ("", "s", "\n# EOF", "{x}"):
                body = {"name": name + str(instrument), "instrument": instrument, "value": 1, "unit": unit, "description": "\n# EOF\n" + ESCAPE}
                channel.sendall(telemetry(record(MEASUREMENT, body | {"attributes": forged})))
    body = {"name": "up", "instrument": 1, "value": 0, "attributes": {"snakepit.pool": "other"}}
    channel.sendall(telemetry(record(MEASUREMENT, body)))
    answer(link, call)
