"""Work for many workers at once."""

import os
import threading
import time
from typing import Any

from snakepit_bridge import Context, tool


class Concurrent:
    """Tasks of a given length, to watch how a pool distributes them."""

    @tool
    def cpu_bound_task(self, ctx: Context, task_id: str = "", duration_ms: float = 100) -> Any:
        """Compute for a while; stop if the call is cancelled."""
        end = time.monotonic() + duration_ms / 1000
        rounds = 0
        while time.monotonic() < end:
            ctx.raise_if_cancelled()
            sum(range(1000))
            rounds += 1
        return {"task_id": task_id, "rounds": rounds, "pid": os.getpid()}

    @tool
    def sleep_task(self, duration_ms: float = 100, task_number: int = 0) -> dict[str, int]:
        """Hold a worker without computing."""
        time.sleep(duration_ms / 1000)
        return {"task_number": task_number, "pid": os.getpid()}

    @tool
    def lightweight_task(self, iteration: int = 0) -> dict[str, int]:
        """Return at once."""
        return {"iteration": iteration, "pid": os.getpid()}

    @tool
    def threads_task(self, ctx: Context, name: str, threads: int = 4, times: int = 10) -> Any:
        """Update one variable of the session from all threads of one call."""
        if name not in ctx:
            ctx[name] = 0
        before = ctx.variable(name).version

        def work() -> None:
            for _ in range(times):
                ctx.update_variable(name, lambda value: value + 1)

        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        ctx.refresh(name)
        now = ctx.variable(name)
        return {"value": now.value, "versions": now.version - before}

    @tool
    def get_worker_info(self, ctx: Context, call_number: int = 0) -> dict[str, Any]:
        """Return which worker serves this call."""
        return {"call_number": call_number, "worker_id": ctx.worker_id, "pid": os.getpid()}
