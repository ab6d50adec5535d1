"""A pool of the standard library that sends pandas frames there and back, pickled."""

import json
import sys
import time

from pools import echo, make


def frames(call, rows: int, columns: int, calls: int, seconds: float) -> dict:
    """Send a frame of floats; milliseconds."""
    import pandas as pd

    names = [f"c{number}" for number in range(columns)]
    value = pd.DataFrame({name: range(rows) for name in names}, dtype="float64")
    clock = time.perf_counter
    begin = clock()
    times = []
    while len(times) < calls or clock() - begin < seconds:
        before = clock()
        call(echo, value)
        times.append((clock() - before) * 1e3)
    return {"p50": sorted(times)[len(times) // 2]}


def serve(kind: str, workers: int) -> None:
    """Answer lines until stdin ends."""
    try:
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401

        call, _, close = make(kind, workers)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    call(echo, 1)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        try:
            answer = frames(call, **json.loads(line))
        except Exception as error:  # noqa: BLE001 (the driver shows it)
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
    close()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
