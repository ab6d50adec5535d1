"""Adapters as users of the original library wrote them, for its releases 0.6 and 0.13."""

import threading

from snakepit_bridge import telemetry
from snakepit_bridge.adapters.showcase.tool import StreamChunk
from snakepit_bridge.base_adapter import BaseAdapter, tool
from snakepit_bridge.base_adapter_threaded import ThreadSafeAdapter, thread_safe_method
from snakepit_bridge.logging_config import get_logger
from snakepit_bridge.session_context import SessionContext
from snakepit_bridge.thread_safety_checker import require_thread_safe_adapter

logger = get_logger(__name__)


@require_thread_safe_adapter
def prepare(adapter):
    adapter.prepared = True


class Counter(ThreadSafeAdapter):
    __thread_safe__ = True

    def __init__(self):
        super().__init__()
        prepare(self)
        self.count = 0

    @thread_safe_method
    @tool(description="Increment counter")
    def increment(self) -> dict:
        with telemetry.span("increment"), self.acquire_lock():
            self.count += 1
            return {"count": self.count, "prepared": self.prepared}

    @thread_safe_method
    @tool(description="Get adapter statistics")
    def get_stats(self) -> dict:
        with self.acquire_lock():
            stats = self._tracker.get_stats()
            return {"total": stats["total_requests"], "count": self.count}

    @tool(description="Progress", supports_streaming=True)
    def progress(self, count: int = 3):
        for i in range(count):
            yield StreamChunk({"progress": i + 1}, is_final=i + 1 == count)

    @tool(description="The context of the call")
    def context(self) -> dict:
        ctx: SessionContext = self.session_context
        ctx.user_data = {"n": 1}
        logger.debug("session %s", ctx.session_id)
        return {
            "session": ctx.session_id,
            "metadata": ctx.request_metadata,
            "kept": ctx.user_data["n"],
            "main": threading.current_thread() is threading.main_thread(),
        }


class Dispatch(BaseAdapter):
    """An adapter with a dispatch of its own, as the showcase of 0.6 has."""

    def __init__(self):
        super().__init__()
        self.session_context = None

    def set_session_context(self, session_context):
        self.session_context = session_context

    def execute_tool(self, tool_name, arguments, context):
        handlers = {"add": self.add, "rows": self.rows, "metadata": self.metadata}
        if tool_name not in handlers:
            raise ValueError(f"Unknown tool: {tool_name}")
        return handlers[tool_name](context, **arguments)

    def add(self, ctx, a, b):
        return a + b

    def metadata(self, ctx):
        return dict(ctx.request_metadata)

    def rows(self, ctx, n):
        return (StreamChunk({"row": i}, i + 1 == n) for i in range(n))


class Asynchronous(BaseAdapter):
    @tool(description="Increment counter")
    async def increment(self, ctx: SessionContext) -> dict:
        self.count = getattr(self, "count", 0) + 1
        return {"count": self.count, "prepared": True}

    @tool(description="Progress", supports_streaming=True)
    async def progress(self, count: int = 3):
        for i in range(count):
            yield StreamChunk({"progress": i + 1}, is_final=i + 1 == count)

    @tool(description="The context of the call")
    async def context(self, ctx: SessionContext) -> dict:
        ctx.user_data = {"n": 1}
        return {
            "session": ctx.session_id,
            "metadata": ctx.request_metadata,
            "kept": ctx.user_data["n"],
            "main": threading.current_thread() is threading.main_thread(),
        }
