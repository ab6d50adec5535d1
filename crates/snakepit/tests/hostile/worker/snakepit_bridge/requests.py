"""Bad requests to the host."""

import struct

from .wire import NIL, REQUEST, RESULT, frame, log, number, read, string, text

HUGE = b"\xcf" + b"\xff" * 8
SET, GET_MANY, HOST_TOOL = 20, 21, 40


def _request(link, call, request, operation, name="", body=NIL, timeout=0):
    head = number(1, call) + number(2, operation) + text(3, name)
    if timeout:
        head += number(4, timeout)
    link.sendall(frame(REQUEST, request, head, body))


def _result(link, call):
    link.sendall(frame(RESULT, call, b"", NIL))


def _large_variable(link, call):
    """Sets a variable of 900 kB."""
    value = b"\xdb" + struct.pack(">I", 900_000) + b"v" * 900_000
    body = b"\x82" + string("type") + string("string") + string("value") + value
    _request(link, call, 1, SET, "v", body)
    read(link)


def _names(count):
    return b"\x81" + string("names") + b"\xdd" + struct.pack(">I", count) + string("v") * count


def one_variable_ten_thousand_times(link, call):
    _large_variable(link, call)
    _request(link, call, 2, GET_MANY, body=_names(10_000))
    kind, _, head, body = read(link)
    log("answer of", kind, len(head), len(body))
    _result(link, call)


def answers_that_nobody_reads(link, call):
    _large_variable(link, call)
    for request in range(2000):
        _request(link, call, 2 + request, GET_MANY, body=_names(100))
    _result(link, call)


def every_operation_with_bad_bodies(link, call):
    bodies = [
        b"",
        NIL,
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 5000 + NIL,
        b"\x81" + string("wait_us") + HUGE,
        b"\x82" + string("stream") + HUGE + string("max") + HUGE,
        b"\x82" + string("after") + HUGE + string("max") + HUGE,
    ]
    request = 1
    for operation in [*range(45), 99, 2**31 - 1]:
        for body in bodies:
            request += 1
            timeout = 2**64 - 1 if request % 2 else 300_000
            _request(link, call, request, operation, "x\x1b[31m../..", body, timeout)
            read(link)
    _result(link, call)


def request_zero(link, call):
    _request(link, call, 0, HOST_TOOL)
    _result(link, call)


def requests_of_other_calls(link, call):
    for other in (0, call + 1, max(call - 1, 0), 2**64 - 1):
        _request(link, other, 7, HOST_TOOL)
        read(link)
    _result(link, call)


def flood_of_requests(link, call):
    head = number(1, call) + number(2, HOST_TOOL)
    for first in range(0, 1_000_000, 500):
        link.sendall(b"".join(frame(REQUEST, first + one + 1, head, b"\xa3abc") for one in range(500)))
    _result(link, call)
