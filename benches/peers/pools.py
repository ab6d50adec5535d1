"""Process pools as a Python programmer would use them: one JSON line in, one JSON line out.

Run as `pools.py KIND WORKERS`, KIND being ppe, ppe-spawn, loky, pebble or ray.
"""

import itertools
import json
import multiprocessing
import statistics
import sys
import threading
import time


def echo(value):
    """Return the argument."""
    return value


def add(a, b):
    """Add two numbers."""
    return a + b


def meet(count, seconds):
    """Stay busy long enough that `count` workers are needed at once."""
    time.sleep(seconds)
    return count


def make(kind: str, workers: int):
    """Return `(call, map, close)` of a pool of this kind."""
    if kind in ("ppe", "ppe-spawn"):
        from concurrent.futures import ProcessPoolExecutor

        method = "fork" if kind == "ppe" else "spawn"
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method))
    elif kind == "loky":
        from loky import ProcessPoolExecutor

        pool = ProcessPoolExecutor(workers)
    elif kind == "pebble":
        from pebble import ProcessPool

        pool = ProcessPool(workers)

        def close():
            pool.stop()
            pool.join()

        return (lambda function, *args: pool.schedule(function, args).result()), None, close
    elif kind == "ray":
        import ray

        ray.init(num_cpus=workers, log_to_driver=False, include_dashboard=False)
        remote = {}

        def call(function, *args):
            task = remote.get(function) or remote.setdefault(function, ray.remote(function))
            return ray.get(task.remote(*args))

        return call, None, ray.shutdown
    else:
        raise ImportError(kind)

    def call(function, *args):
        return pool.submit(function, *args).result()

    def map_all(function, *iterables):
        return pool.map(function, *iterables, chunksize=1000)

    return call, map_all, pool.shutdown


def closed(call, callers: int, seconds: float, size: int) -> dict:
    """Let `callers` threads call one after the other for a while."""
    value = "x" * size
    clock = time.perf_counter_ns
    begin = clock()
    end = begin + int(seconds * 1e9)

    def loop(latencies: list) -> None:
        before = clock()
        while before < end:
            call(echo, value)
            after = clock()
            latencies.append(after - before)
            before = after

    lists: list = [[] for _ in range(callers)]
    if callers == 1:
        loop(lists[0])
    else:
        threads = [threading.Thread(target=loop, args=(latencies,)) for latencies in lists]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    elapsed = (clock() - begin) / 1e9
    every = sorted(latency / 1e3 for latencies in lists for latency in latencies)

    def at(quantile: float) -> float:
        return every[min(len(every) - 1, int(len(every) * quantile))]

    return {
        "rate": len(every) / elapsed,
        "p50": at(0.5),
        "p99": at(0.99),
        "p99.9": at(0.999),
        "max": every[-1],
    }


def payload(call, size: int, seconds: float) -> dict:
    """Send bytes there and back; milliseconds."""
    value = b"\x07" * size
    clock = time.perf_counter
    begin = clock()
    times = []
    while len(times) < 3 or clock() - begin < seconds:
        before = clock()
        call(echo, value)
        times.append((clock() - before) * 1e3)
    return {"p50": statistics.median(times)}


def many(map_all, count: int) -> dict:
    """Map over `count` pairs."""
    begin = time.perf_counter()
    total = sum(1 for _ in map_all(add, range(count), itertools.repeat(1)))
    return {"rate": total / (time.perf_counter() - begin)}


def start(kind: str, workers: int) -> dict:
    """Start a pool of its own and wait until all its workers have answered at the same time."""
    begin = time.perf_counter()
    call, _, close = make(kind, workers)
    threads = [threading.Thread(target=call, args=(meet, workers, 0.01)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    close()
    return {"ready": elapsed}


def serve(kind: str, workers: int) -> None:
    """Answer lines until stdin ends."""
    try:
        call, map_all, close = make(kind, workers)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return
    call(echo, 1)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        op = question.pop("op")
        try:
            if op == "closed":
                answer = closed(call, **question)
            elif op == "payload":
                answer = payload(call, **question)
            elif op == "many":
                answer = many(map_all, **question)
            elif op == "start":
                answer = start(kind, **question)
            else:
                answer = {"error": f"no operation {op}"}
        except Exception as error:  # noqa: BLE001 (the driver shows it)
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
    close()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
