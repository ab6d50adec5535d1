"""A worker with a protocol of its own: lines of JSON on a Unix socket, which the host listens on."""

import json
import socket
import sys

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
lines = connection.makefile("rw", encoding="utf-8")


def send(message):
    print(json.dumps(message), file=lines, flush=True)


def ask(**request):
    send(request)
    answer = json.loads(lines.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


def add(a, b):
    return a + b


def greet(name):
    return ask(host_tool="shout", args={"text": f"hello {name}"})


def remember(key):
    return ask(variable=key)


print("ready", flush=True)
for line in lines:
    call = json.loads(line)
    try:
        tool = {"add": add, "greet": greet, "remember": remember}[call["tool"]]
        send({"result": tool(**call["args"])})
    except (KeyError, TypeError, RuntimeError) as error:
        send({"error": f"{type(error).__name__}: {error}"})
