"""The original's module of this name: chunks of streams, and a wrapper of functions."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["StreamChunk", "Tool"]


class StreamChunk:
    """One item of a stream. Its `data` is sent, as if the tool had yielded that alone."""

    def __init__(
        self, data: Any, is_final: bool = False, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the fields."""
        self.data = data
        self.is_final = is_final
        self.metadata = metadata


class Tool:
    """A function with its name."""

    def __init__(self, func: Callable[..., Any]) -> None:
        """Keep the function."""
        self.func = func
        self.name = str(getattr(func, "__name__", ""))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.func(*args, **kwargs)
