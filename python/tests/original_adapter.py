"""Adapters as they were written for the original, unmodified."""

from snakepit_bridge.base_adapter import BaseAdapter, tool
from snakepit_bridge.session_context import SessionContext


class StreamChunk:
    def __init__(self, data, is_final=False):
        self.data = data
        self.is_final = is_final


class OwnDispatch(BaseAdapter):
    """An adapter that dispatches names itself, as the original's servers require."""

    def __init__(self):
        super().__init__()
        self.initialized = False
        self.seen = []

    async def initialize(self):
        self.initialized = True

    def execute_tool(self, tool_name, arguments, context):
        assert isinstance(context, SessionContext) or context is None or context.call_id
        handlers = {
            "add": lambda a, b: a + b,
            "whoami": lambda: [self.session_id, context.session_id],
            "later": self.later,
            "rows": self.rows,
            "arows": self.arows,
            "chunks": lambda: [StreamChunk(1), StreamChunk(2, True)],
            "one": lambda: {"a": 1},
            "ready": lambda: self.initialized,
        }
        if tool_name not in handlers:
            raise ValueError(f"Unknown tool: {tool_name}")
        return handlers[tool_name](**arguments)

    async def later(self, x):
        return [x]

    def rows(self, n):
        yield from ({"row": i} for i in range(n))

    async def arows(self, n):
        for i in range(n):
            yield i

    @tool(description="A marked one", supports_streaming=False)
    def marked(self, text: str = "x") -> str:
        return text * 2


class OwnContext(BaseAdapter):
    """An adapter that keeps the context itself, as older versions required."""

    def __init__(self):
        super().__init__()
        self.contexts = []

    def set_session_context(self, session_context):
        self.contexts.append(session_context)

    @tool(description="How often the context came")
    def count(self):
        return len(self.contexts)

    @tool("Streams", True)
    def stream(self, n: int = 2):
        yield from range(n)

    @tool
    def bare(self):
        """Without parentheses."""
        return self.contexts[-1].call_id


class Decorated(BaseAdapter):
    @tool(description="Progress", supports_streaming=True, required_variables=["x"])
    def progress(self, count: int = 3, delay: float = 0):
        for i in range(count):
            yield {"progress": i + 1, "is_final": i + 1 == count}

    @tool(description="Call the host")
    def hybrid(self, data: list) -> dict:
        return {"result": self.session_context.call_elixir_tool("parallel_map", data=data)}
