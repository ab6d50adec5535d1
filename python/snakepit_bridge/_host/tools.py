"""Host tools that this call may use: a mapping of names to callables."""

from __future__ import annotations

from _collections_abc import Mapping

from .. import _text
from . import ops
from .errors import UnknownToolError
from .steps import wait, wait_async
from .stream import HostStream
from .tool_help import help_text, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from inspect import Signature
    from typing import Any

    from .._native import Context as Native
    from .steps import Steps

    _Base = Mapping[str, "HostTool"]
else:
    _Base = Mapping


def arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the body of a call: a single map is the named arguments, others are positional.

    Raises `TypeError` if arguments are passed both ways.
    """
    if not args:
        return kwargs
    if kwargs:
        raise TypeError("pass the arguments of a host tool by name or by position, not both")
    return args[0] if len(args) == 1 and type(args[0]) is dict else list(args)


class HostTool:
    """A function of the host; call it with its arguments, which `help()` shows.

    A streaming tool returns a `HostStream` to iterate over. In a coroutine use `call_async` and
    `stream_async`, which do not block the event loop.
    """

    def __init__(self, native: Native, item: dict[str, Any]) -> None:
        """Read one item of the host's list."""
        self._native = native
        self.name = str(item["name"])
        self.description = str(item.get("description") or "")
        #: JSON Schema of the arguments.
        self.parameters: dict[str, Any] = item.get("parameters") or {}
        #: JSON Schema of the result; `None` if the host states none.
        self.returns: Any = item.get("returns")
        self.streaming = bool(item.get("streaming"))
        self.metadata: dict[str, Any] = item.get("metadata") or {}
        self.__name__ = self.__qualname__ = self.name
        self.__doc__ = help_text(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool and wait for its result; starts a streaming tool.

        Raises `HostError`, and `Cancelled` if the running call is cancelled.
        """
        return self.call(arguments(args, kwargs))

    def call(self, arguments: Any = None, timeout: float | None = None) -> Any:
        """Call the tool with one map of arguments, waiting at most `timeout` seconds."""
        if self.streaming:
            return wait(self._native, self._stream(arguments, timeout).open())
        return self._native._request(ops.TOOL_CALL, self.name, arguments, timeout)

    async def call_async(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool without blocking the event loop."""
        body = arguments(args, kwargs)
        if self.streaming:
            return await wait_async(self._native, self._stream(body, None).open())
        return await self._native._request_async(ops.TOOL_CALL, self.name, body, None)

    def stream_async(self, *args: Any, **kwargs: Any) -> HostStream:
        """Return a stream for `async for`; the tool starts with the first item."""
        return self._stream(arguments(args, kwargs), None)

    def _stream(self, body: Any, timeout: float | None) -> HostStream:
        return HostStream(self._native, self.name, body, timeout)

    @property
    def __signature__(self) -> Signature:
        """The parameters, for `inspect.signature`."""
        return signature(self)

    def __getitem__(self, key: str) -> Any:
        """Return a field as `tool["description"]`, which adapters of the original use."""
        if key in ("name", "description", "parameters", "returns", "streaming", "metadata"):
            return getattr(self, key)
        raise KeyError(key)

    def __repr__(self) -> str:
        """Show the signature."""
        return f"<HostTool {self.__doc__.partition(chr(10))[0]}>" if self.__doc__ else "<HostTool>"


class HostTools(_Base):
    """Host tools by name; one request in a call fetches them, when the first is looked up."""

    __slots__ = ("_native", "_tools")

    def __init__(self, native: Native) -> None:
        """Create the mapping; the list is fetched later."""
        self._native = native
        self._tools: dict[str, HostTool] | None = None

    def load(self) -> Steps[HostTools]:
        """Fetch the list now."""
        reply = yield (ops.TOOLS_LIST, "", None, None)
        self._tools = {str(item["name"]): HostTool(self._native, item) for item in reply}
        return self

    def _known(self) -> dict[str, HostTool]:
        if self._tools is None:
            wait(self._native, self.load())
        return self._tools or {}

    def __getitem__(self, name: str) -> HostTool:
        """Return the tool; raises `UnknownToolError`, a `KeyError` and `ValueError`."""
        tools = self._known()
        tool = tools.get(name)
        if tool is None:
            raise unknown(name, list(tools))
        return tool

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._known())

    def __len__(self) -> int:
        """Return the number of tools."""
        return len(self._known())

    def __repr__(self) -> str:
        """Show the names if they are known."""
        return f"<HostTools {', '.join(self._tools)}>" if self._tools is not None else "<HostTools>"


def unknown(name: object, names: list[str]) -> UnknownToolError:
    """Return the error for an unknown name, with the most similar ones."""
    help = _text.did_you_mean(str(name), names)
    if not help:
        shown = ", ".join([f"`{item}`" for item in names[:20]])
        help = f"the tools are {shown}" if shown else "mark tools of the host as exposed"
    return UnknownToolError(f"no host tool is named `{name}`: {help}", "SP8001", help)
