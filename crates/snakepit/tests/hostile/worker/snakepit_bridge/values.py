"""Values that are larger than they seem. Each call gets the next one, and at last the text `end`."""

import struct

from . import arrow
from .wire import NIL, RESULT, frame, string

MIB = 1 << 20


def _list(count):
    return b"\xdd" + struct.pack(">I", count)


def _text(size):
    return b"\xdb" + struct.pack(">I", size) + b"x" * size


def _extension(code, data):
    return b"\xc9" + struct.pack(">I", len(data)) + bytes([code]) + data


def _array(dtype, shape, data, unit=0, count=0):
    head = struct.pack("<BBBBI", 1, dtype, len(shape), unit, count) + struct.pack(f"<{len(shape)}Q", *shape)
    return _extension(7, head + data)


def _beside_text(count, part, size=100 * MIB):
    """A long text earns memory for what is short."""
    return b"\x92" + _list(count) + part * count + _text(size)


def _parts():
    yield _beside_text(17 * MIB, NIL)
    yield _list(40 * MIB) + b"\x01" * (40 * MIB)


def _frames():
    for make in arrow.STREAMS:
        for kind in (5, 6, 7):
            yield _extension(16, bytes([1, kind, 0]) + make() + arrow.END)
            # A column of one needs no more than one look.
            if make not in (arrow.escapes, arrow.long_name_in_many_rows):
                break
    yield _extension(16, b"")
    yield _extension(16, b"\x01\x05\xff")
    yield _extension(16, b"\x01\x63\x00abc")


def _odd():
    nan = b"\xcb" + struct.pack(">d", float("nan"))
    mark = b"\xc7\x00\x09"
    nested = b"\x01"
    for _ in range(100):
        nested = b"\x92" + mark + nested
    twins = b"\x93" + mark + b"\x01\x01"
    yield b"\xde" + struct.pack(">H", 1000) + (nan + NIL) * 1000
    yield b"\x82" + nested + NIL + nested + NIL
    yield b"\x81" + twins + NIL
    yield b"\x84\x01\xc0\xa11\xc0\xcb" + struct.pack(">d", 1.0) + b"\xc0\xc3\xc0"
    yield mark
    yield b"\x91" + mark
    yield b"\x92" + mark + b"\x80"
    yield b"\x92\xc7\x01\x09\x00\x01"
    yield _list(MIB) + twins * MIB
    yield b"\x91" * 127 + NIL
    yield (b"\x92" + mark) * 100_000 + b"\x01"
    for dtype in range(18):
        for shape in ([], [0], [2**40, 0], [1] * 32, [1] * 33, [2**32, 2**32], [3]):
            yield _array(dtype, shape, bytes(12), 13, 2**31 - 1)
    yield _array(11, [4], b"\x00\x01\x02\xff")
    yield _array(15, [2], struct.pack("<qq", -(2**63), 2**63 - 1), 1, 2**31 - 1)
    yield b"\x91" + _array(1, [3], b"\x00" * 12)
    yield _extension(2, b"\x1b[2J" * 100)
    yield _extension(6, b"9" * MIB)
    yield _extension(4, b"\x7f" + b"\xff" * 7)
    yield string("\x1b]0;PWN\x07")


def _answer(make):
    values = make()

    def answer(link, call):
        link.sendall(frame(RESULT, call, b"", next(values, string("end"))))

    return answer


values_of_many_parts, values_of_frames, values_of_odd_kinds = map(_answer, (_parts, _frames, _odd))
