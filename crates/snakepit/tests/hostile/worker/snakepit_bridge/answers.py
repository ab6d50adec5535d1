"""Bad answers to a call."""

import os
import struct
import time

from .wire import CANCEL, CHUNK, DESCRIBED, END, ESCAPE, FAILED, ITEMS, NIL, PART, REQUEST, RESULT, error, frame, text

HUGE = 2**64 - 1


def result(link, call, body):
    link.sendall(frame(RESULT, call, b"", body))


def until_closed(link):
    """Waits until the host closes the connection, as it should."""
    while link.recv(1 << 16):
        pass


def body_of_2_to_the_64(link, call):
    link.sendall(frame(RESULT, call, body_length=HUGE))
    until_closed(link)


def head_of_4_gib(link, call):
    link.sendall(frame(RESULT, call, head_length=2**32 - 1))
    until_closed(link)


def body_of_4_gib_begun(link, call):
    link.sendall(frame(RESULT, call, body_length=2**32 + 5))
    link.sendall(b"x" * 1_000_000)
    until_closed(link)


def body_that_never_comes(link, call):
    link.sendall(frame(RESULT, call, body_length=64 << 20))
    until_closed(link)


def half_a_frame(link, call):
    link.sendall(frame(RESULT, call, b"", b"abcdef")[:-3])
    os._exit(1)


def one_byte_at_a_time(link, call):
    for byte in frame(RESULT, call, b"", NIL):
        link.sendall(bytes([byte]))


def another_call(link, call):
    link.sendall(frame(RESULT, call + 999, b"", NIL))


def twice(link, call):
    link.sendall(frame(RESULT, call, b"", NIL) * 2)


def chunks_after_the_end(link, call):
    link.sendall(frame(CHUNK, call, b"", b"\x01") + frame(END, call) + frame(CHUNK, call, b"", b"\x01"))


def chunks_without_end(link, call):
    many = frame(CHUNK, call, b"", b"\x01") * 1000
    while True:
        link.sendall(many)


def large_chunks(link, call):
    body = b"\xc6" + struct.pack(">I", 32 << 20) + bytes(32 << 20)
    for _ in range(40):
        link.sendall(frame(CHUNK, call, b"", body))
    link.sendall(frame(END, call))


def items_without_end(link, call):
    many = frame(ITEMS, call) * 1000
    while True:
        link.sendall(many)


def items_of_wrong_length(link, call):
    link.sendall(frame(ITEMS, call, b"", b"\x00\xff\xff\xff\xffab", flags=1))
    until_closed(link)


def too_many_items(link, call):
    link.sendall(frame(ITEMS, call, b"", b"\x00\x01\x00\x00\x00\xc0" * 100, flags=1))
    until_closed(link)


def wrong_kind(link, call):
    link.sendall(frame(END, call))


def kind_of_the_host(link, call):
    link.sendall(frame(2, call))


def unknown_kind(link, call):
    link.sendall(frame(99, call))


def reserved_bits(link, call):
    link.sendall(frame(RESULT, call, b"", NIL, reserved=7))


def array_of_4_gi(link, call):
    result(link, call, b"\xdd\xff\xff\xff\xff")


def map_of_4_gi(link, call):
    result(link, call, b"\xdf\xff\xff\xff\xff")


def bytes_of_4_gi(link, call):
    result(link, call, b"\xc6\xff\xff\xff\xff")


def extension_of_4_gi(link, call):
    result(link, call, b"\xc9\xff\xff\xff\xff\x07")


def deep_arrays(link, call):
    result(link, call, b"\x91" * 10_000_000 + NIL)


def deep_maps(link, call):
    result(link, call, b"\x81\xa1k" * 1_000_000 + NIL)


def deep_keys(link, call):
    result(link, call, b"\x81" * 1_000_000 + NIL)


def keys_that_double(link, call):
    """Answer with nested maps, each the key of the next: their text doubles with each level."""
    body = NIL
    for _ in range(60):
        body = b"\x81" + body + NIL
    result(link, call, body)


def invalid_utf8(link, call):
    result(link, call, b"\xa3\xff\xfe\xfd")


def unknown_extension(link, call):
    result(link, call, b"\xd4\x55\x00")


def _array(link, call, block):
    result(link, call, b"\xc9" + struct.pack(">I", len(block)) + b"\x07" + block)


def array_whose_size_overflows(link, call):
    _array(link, call, bytes([1, 2, 2, 0, 0, 0, 0, 0]) + struct.pack("<QQ", 2**33, 2**33))


def array_without_elements(link, call):
    _array(link, call, bytes([1, 7, 2, 0, 0, 0, 0, 0]) + struct.pack("<QQ", 2**40, 0))


def array_of_many_dimensions(link, call):
    shape = struct.pack("<32Q", 1_000_000, *([1] * 31))
    _array(link, call, bytes([1, 7, 32, 0, 0, 0, 0, 0]) + shape + bytes(1_000_000))


def nils(link, call):
    count = 2 << 20
    result(link, call, b"\xdd" + struct.pack(">I", count) + NIL * count)


def nils_beside_text(link, call):
    """Nils beside a text: values without parts must not buy memory for values with many."""
    count, size = 4 << 20, 8 << 20
    nils = b"\xdd" + struct.pack(">I", count) + NIL * count
    result(link, call, b"\x92\xdb" + struct.pack(">I", size) + b"x" * size + nils)


def lists_in_lists(link, call):
    """Lists without items: each takes one byte here, and the memory of a list in the host."""
    count = 4 << 20
    result(link, call, b"\xdd" + struct.pack(">I", count) + b"\x90" * count)


def parts_without_end(link, call):
    part = frame(RESULT, call, b"", bytes(1 << 20), flags=PART)
    while True:
        link.sendall(part)


def parts_of_nothing(link, call):
    many = frame(RESULT, call, flags=PART) * 10_000
    for _ in range(100):
        link.sendall(many)
    link.sendall(frame(RESULT, call, b"", NIL))


def parts_of_two_calls(link, call):
    link.sendall(frame(RESULT, call, b"", b"\x92", flags=PART) + frame(RESULT, call + 1, b"", b"\x92", flags=PART))
    until_closed(link)


def parts_of_every_kind(link, call):
    for kind in (DESCRIBED, FAILED, REQUEST, CANCEL, END):
        link.sendall(frame(kind, call, b"", NIL, flags=PART))
    until_closed(link)


def equal_keys(link, call):
    result(link, call, b"\x82\xa1a\x01\xa1a\x02")


def bytes_behind_the_value(link, call):
    result(link, call, b"\xc0\xc0\xc0")


def no_bytes(link, call):
    result(link, call, b"")


def long_message(link, call):
    link.sendall(frame(FAILED, call, error(message="A" * 900_000)))


def many_notes(link, call):
    link.sendall(frame(FAILED, call, error() + b"2\x00" * 500_000))


def many_causes(link, call):
    head = text(1, "SP3001")
    for _ in range(5000):
        head = text(1, "SP3001") + text(4, "m") + text(7, head)
    link.sendall(frame(FAILED, call, head[: 1 << 20]))


def code_of_the_host(link, call):
    link.sendall(frame(FAILED, call, error(code="SP5001", message="I am the host")))


def code_of_the_configuration(link, call):
    link.sendall(frame(FAILED, call, error(code="SP1001", message="the pool is gone")))


def escapes_in_an_error(link, call):
    extra = text(6, "note " + ESCAPE + "\nSP4004 forged line")
    link.sendall(frame(FAILED, call, error(kind="E" + ESCAPE, message=ESCAPE + "\nSP4004 forged line", extra=extra)))


def cancels_of_nothing(link, call):
    many = frame(CANCEL, 5) * 10_000
    for _ in range(100):
        link.sendall(many)
    link.sendall(frame(RESULT, call, b"", NIL))


def dies_and_a_child_keeps_the_socket(link, call):
    """Starts a child that leaves the group, and answers once the worker is gone."""
    if os.fork():
        os._exit(3)
    os.setsid()
    leader = os.getppid()
    while os.getppid() == leader:
        time.sleep(0.01)  # the tool sleeps
    time.sleep(0.3)  # the tool sleeps
    try:
        link.sendall(frame(RESULT, call, b"", b"\xa6forged"))
    except OSError:
        pass
    os._exit(0)
