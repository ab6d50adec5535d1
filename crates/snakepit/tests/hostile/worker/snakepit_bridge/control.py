"""Bad frames on the control connection."""

import time

from .wire import CANCEL_CALL, ESCAPE, GIL, MODE, NIL, NO_STACKS, PING, PONG, RESULT, SECRET, STACKS, STOPPED, frame, number, text


def answer(channel, kind, call):
    """Sends the ordinary answers, or the bad ones of the mode."""
    if kind == PING:
        held = 2**64 - 1 if MODE == "held_for_ever" else 0
        channel.sendall(frame(PONG, call, number(1, held)))
    elif kind == CANCEL_CALL and MODE == "stopped_after_ages":
        channel.sendall(frame(STOPPED, call, number(1, 3) + number(2, 2**64 - 1)))
    elif kind == STACKS:
        channel.sendall(frame(NO_STACKS, call))


def _result(link, call):
    link.sendall(frame(RESULT, call, b"", NIL))


def held_for_ever(channel, link, call):
    _result(link, call)


def stopped_after_ages(channel, link, call):
    while link.recv(1 << 16):
        pass


def pong_of_nothing(channel, link, call):
    channel.sendall(frame(PONG, 2**64 - 1, number(1, 5)))
    _result(link, call)


def gil_of_a_megabyte(channel, link, call):
    channel.sendall(frame(GIL, 0, text(1, "mod" + ESCAPE + "x" * 900_000)))
    _result(link, call)


def pong_with_a_body(channel, link, call):
    channel.sendall(frame(PONG, 1, b"", b"x" * 5))
    _result(link, call)


def head_that_never_comes(channel, link, call):
    channel.sendall(frame(STOPPED, 1, head_length=1 << 20))
    _result(link, call)


def flood_of_reports(channel, link, call):
    many = frame(STOPPED, 1, number(1, 3) + number(2, 9)) * 10_000
    for _ in range(100):
        channel.sendall(many)
    _result(link, call)


def flood_of_secrets(channel, link, call):
    # Distinct values, which have as many layers of escapes as they can, and printed lines of them.
    for start in range(0, 200_000, 10_000):
        many = [frame(SECRET, n, text(1, f"%25255c{n:08}" * 8)) for n in range(start, start + 10_000)]
        channel.sendall(b"".join(many))
        print("%25255c00000001" * 500, flush=True)
    _result(link, call)


def secret_of_a_megabyte(channel, link, call):
    channel.sendall(frame(SECRET, 1, text(1, "x" * 900_000)))
    _result(link, call)


def secrets_of_words(channel, link, call):
    for number_of, word in enumerate(("innocent", "evil", "call", "in time", "@outcome", "worker", "e" * 4)):
        channel.sendall(frame(SECRET, number_of, text(1, word)))
    channel.sendall(frame(SECRET, 99, b"\xff" * 40))
    _result(link, call)
