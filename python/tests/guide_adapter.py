"""The adapter of the original's tutorial about threads, and a checker around it, unmodified."""

import numpy as np

from snakepit_bridge.base_adapter_threaded import ThreadSafeAdapter, thread_safe_method, tool


class MyAdapter(ThreadSafeAdapter):
    """Example thread-safe adapter"""

    __thread_safe__ = True

    def __init__(self):
        super().__init__()
        self.model = self._load_model()
        self.request_count = 0

    def _load_model(self):
        return None

    @thread_safe_method
    @tool(description="Compute with NumPy")
    def compute(self, data: list) -> dict:
        arr = np.array(data)
        result = np.dot(arr, arr.T)
        with self.acquire_lock():
            self.request_count += 1
            count = self.request_count
        return {"result": result.tolist(), "request_number": count}

    @thread_safe_method
    @tool(description="Compute with caching")
    def compute_cached(self, key: str, data: list) -> dict:
        cache = self.get_thread_local("cache", {})
        if key in cache:
            return {"result": cache[key], "cached": True}
        arr = np.array(data)
        result = np.dot(arr, arr.T).tolist()
        cache[key] = result
        self.set_thread_local("cache", cache)
        with self.acquire_lock():
            self.request_count += 1
        return {"result": result, "cached": False}

    @thread_safe_method
    @tool(description="Get adapter statistics")
    def get_stats(self) -> dict:
        with self.acquire_lock():
            stats = self.get_stats_dict()
            stats["total_requests"] = self.request_count
        return stats
