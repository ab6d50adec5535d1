"""Calls, errors, and a tool's view of its call."""

import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from snakepit_bridge import Context, telemetry, tool


class Unsendable:
    """A value that cannot be sent."""

    def __init__(self, name: str) -> None:
        """Keep a name."""
        self.name = name

    def __repr__(self) -> str:
        """Show a secret, as a careless class would, to demonstrate markers."""
        return f"Unsendable({self.name!r}, api_key='sk-not-a-real-key-123')"


class Basic:
    """Tools for calls and errors."""

    calls = 0
    started = 0.0

    def begin(self) -> None:
        """Start the counters of this worker."""
        self.calls = 0
        self.started = time.monotonic()

    @tool
    def ping(self, message: str = "pong") -> dict[str, Any]:
        """Return a sign of life of the worker."""
        self.calls += 1
        return {"message": message, "timestamp": time.time()}

    @tool
    def echo(self, **values: Any) -> dict[str, Any]:
        """Return the arguments; values keep their types."""
        self.calls += 1
        return {"echoed": values}

    @tool
    def add(self, a: float, b: float) -> float:
        """Return the sum of two numbers; other arguments are rejected before this runs."""
        self.calls += 1
        return a + b

    @tool
    def process_text(
        self,
        text: str,
        operation: Literal["upper", "lower", "reverse", "length"] = "upper",
    ) -> str | int:
        """Transform a text; the schema lists the operations."""
        self.calls += 1
        if operation == "length":
            return len(text)
        if operation == "reverse":
            return text[::-1]
        return text.upper() if operation == "upper" else text.lower()

    @tool
    def get_stats(self) -> dict[str, float]:
        """Return the counters of this worker since its start; each worker has its own."""
        return {"calls": self.calls, "uptime_s": time.monotonic() - self.started}

    @tool
    def adapter_info(self, ctx: Context) -> dict[str, Any]:
        """Return which worker serves this call, and how long the caller waits."""
        return {
            "adapter": type(self).__name__,
            "worker_id": ctx.worker_id,
            "call_id": ctx.call_id,
            "session_id": ctx.session_id,
            "remaining_s": ctx.remaining(),
        }

    @tool
    def error_demo(
        self, error_type: Literal["value", "key", "runtime", "chained", "secret"] = "value"
    ) -> None:
        """Fail; the caller sees type, message, traceback, cause and notes."""
        if error_type == "key":
            raise KeyError("missing")
        if error_type == "runtime":
            raise RuntimeError("something went wrong")
        if error_type == "secret":
            raise RuntimeError("login failed: password='not-for-the-log'")
        error = ValueError("a value that cannot be used")
        if error_type == "chained":
            try:
                int("three")
            except ValueError as cause:
                raise error from cause
        raise error

    @tool
    def telemetry_demo(self, operation: str = "compute", delay_ms: float = 100) -> dict[str, Any]:
        """Report an event, a span with its start and stop, and a measurement."""
        self.calls += 1
        metadata = {"tool": "telemetry_demo", "operation": operation}
        with telemetry.span("tool.execution", metadata):
            time.sleep(delay_ms / 1000)
            telemetry.emit("tool.result_size", {"bytes": 42}, metadata)
        telemetry.histogram("showcase.delay", "ms").record(delay_ms, operation=operation)
        return {
            "operation": operation,
            "delay_ms": delay_ms,
            "telemetry_enabled": telemetry.is_enabled(),
            "correlation_id": telemetry.correlation_id(),
        }

    @tool
    def serialization_demo(self, demo_type: Literal["rich", "custom", "nested"] = "rich") -> Any:
        """Return values beyond JSON, or one that cannot be sent: an error, or a marker."""
        if demo_type == "rich":
            return {
                "datetime": datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
                "date": date(2024, 5, 6),
                "timedelta": timedelta(seconds=1.5),
                "decimal": Decimal("0.10"),
                "uuid": UUID(int=5),
                "bytes": b"\x00\x01",
                "not_a_number": float("nan"),
                "large": 2**64 - 1,
            }
        custom = Unsendable("custom")
        return custom if demo_type == "custom" else {"kept": [1, custom, "text"]}
