"""Encoding and decoding in Python: ours beside pickle and json, in nanoseconds."""

import json
import pickle
import sys
import time

try:
    sys.path.insert(0, sys.argv[1])
    from snakepit_bridge import _native
except ImportError as error:
    print(json.dumps({"missing": str(error)}), flush=True)
    raise SystemExit(0) from None

VALUES = {
    "32 bytes of text": "x" * 32,
    "small map": {"name": "mean", "values": [1.0, 2.5, 3.0], "flags": {"deep": True}, "n": 7},
    "1000 integers": list(range(1000)),
    "1000 floats": [index / 7 for index in range(1000)],
    "100 records": [{"id": index, "name": f"record {index}"} for index in range(100)],
}


def nanoseconds(function, argument, seconds: float) -> float:
    """Return the time of one call."""
    clock = time.perf_counter_ns
    begin = clock()
    calls = 0
    while clock() - begin < seconds * 1e9:
        for _ in range(50):
            function(argument)
        calls += 50
    return (clock() - begin) / calls


def loads_dumps(value, dumps, loads, seconds: float) -> dict:
    """Time both directions."""
    data = dumps(value)
    return {
        "encode": nanoseconds(dumps, value, seconds),
        "decode": nanoseconds(loads, data, seconds),
    }


CODECS = {
    "native": (lambda value: bytes(_native.pack(value)), _native.unpack),
    "pickle": (lambda value: pickle.dumps(value, 5), pickle.loads),
    "json": (json.dumps, json.loads),
}

print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    dumps, loads = CODECS[question["codec"]]
    value = VALUES[question["value"]]
    print(json.dumps(loads_dumps(value, dumps, loads, question["seconds"])), flush=True)
