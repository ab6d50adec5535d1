"""The names that user code imports: the `tool` decorator, `BaseAdapter` and `Cancelled`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from ._session.context import SessionContext

    F = TypeVar("F", bound=Callable[..., Any])


class Cancelled(BaseException):
    """The running call was cancelled; raised by `Context.raise_if_cancelled`.

    Like `asyncio.CancelledError` it is no `Exception`, so that a tool's own error handling does not
    swallow it.
    """


class ToolOptions:
    """Options of `@tool(...)`, kept on the function as `__snakepit_tool__`."""

    __slots__ = ("description", "name", "streaming")

    def __init__(
        self,
        name: str | None = None,
        description: str | None = None,
        streaming: bool | None = None,
    ) -> None:
        """Keep the options; `None` means that the function decides."""
        self.name = name
        self.description = description
        self.streaming = streaming


if TYPE_CHECKING:

    @overload
    def tool(function: F, /) -> F: ...
    @overload
    def tool(
        *,
        name: str | None = None,
        description: str | None = None,
        streaming: bool | None = None,
    ) -> Callable[[F], F]: ...


def tool(
    function: object = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    streaming: bool | None = None,
) -> object:
    """Mark a function or method as a tool that the host may call; the function is unchanged.

    `name` and `description` default to the function's name and docstring. Generator functions are
    streams without further marks; `streaming=True` marks a function that returns an iterator.
    """
    options = ToolOptions(name, description, streaming)

    def mark(target: object) -> object:
        of_class = isinstance(target, (staticmethod, classmethod))
        if not (callable(target) or of_class or type(target).__name__ == "partialmethod"):
            raise TypeError(f"@tool marks functions and methods, got {type(target).__name__}")
        setattr(target, "__snakepit_tool__", options)  # noqa: B010
        return target

    return mark if function is None else mark(function)


class BaseAdapter:
    """Base of adapter classes: one instance lives in each worker, its `@tool` methods are called.

    `initialize` runs once before the first call and `cleanup` once after the last; both may be
    `async def`.

    An adapter, of this base or not, may have a method `health` without parameters, `async def` or
    not. The host calls it from time to time while a slot of the worker is free, and replaces the
    worker if it raises or returns `False` several times in a row. It is not a tool.
    """

    if TYPE_CHECKING:
        #: The context of the running call; `None` between calls.
        session_context: SessionContext | None
    session_context = None

    def initialize(self) -> object:
        """Load what the tools need; runs once per worker, before the worker is ready."""
        return None

    def cleanup(self) -> object:
        """Release what `initialize` acquired; runs once when the worker is shut down."""
        return None
