"""Bad descriptions of a worker."""

import os

from .wire import CANCEL, DESCRIBED, ESCAPE, FAILED, described, error, frame, text, tool


def _describe(link, call, **parts):
    link.sendall(frame(DESCRIBED, call, described(**parts)))


def slots_without_end(link, call):
    _describe(link, call, slots=2**32 - 1)


def escapes_in_names(link, call):
    tools = tool("a" + ESCAPE + "\n../../etc", "d" + ESCAPE, signature="def " + ESCAPE + "t()", file="/x" + ESCAPE)
    _describe(link, call, tools=tools, runtime="cpy" + ESCAPE, version=ESCAPE)


def equal_tools(link, call):
    _describe(link, call, tools=tool("t") * 20_000)


def nameless_tools(link, call):
    _describe(link, call, tools=text(7, b"") * 400_000)


def schema_that_is_no_json(link, call):
    _describe(link, call, tools=tool("t", schema="[" * 100_000))


def deep_schema(link, call):
    _describe(link, call, tools=tool("t", schema='{"a":' * 120 + "1" + "}" * 120))


def garbage(link, call):
    link.sendall(frame(DESCRIBED, call, b"\xff" * 1000))


def escapes_in_the_failure(link, call):
    link.sendall(frame(FAILED, call, error(message="import " + ESCAPE)))
    os._exit(1)


def never_described(link, call):
    while link.recv(1 << 16):
        pass


def cancels_before_the_answer(link, call):
    many = frame(CANCEL, 5) * 10_000
    while True:
        link.sendall(many)
