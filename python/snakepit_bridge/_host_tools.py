"""The host's tools that this call may use: a mapping of names to callables."""

from _collections_abc import Mapping

from . import _ops, _text
from ._host_error import UnknownToolError
from ._host_stream import HostStream
from ._steps import wait, wait_async
from ._tool_help import help_text, signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from inspect import Signature
    from typing import Any

    from ._native import Context as Native
    from ._steps import Steps

    _Base = Mapping[str, "HostTool"]
else:
    _Base = Mapping


def arguments(args: "tuple[Any, ...]", kwargs: "dict[str, Any]") -> "Any":
    """The body of a call: one map alone is the named arguments, others go by place.

    Raises `TypeError` when arguments come both ways.
    """
    if not args:
        return kwargs
    if kwargs:
        raise TypeError("pass the arguments of a host tool by name or by place, not both")
    return args[0] if len(args) == 1 and type(args[0]) is dict else list(args)


class HostTool:
    """A function of the host; call it with its arguments, `help()` shows them.

    A streaming tool returns a `HostStream` to iterate over. From a coroutine use `call_async`
    and `stream_async`, which do not hold up the event loop.
    """

    def __init__(self, native: "Native", item: "dict[str, Any]") -> None:
        """From one item of the host's list."""
        self._native = native
        self.name = str(item["name"])
        self.description = str(item.get("description") or "")
        #: JSON Schema of the arguments.
        self.parameters: dict[str, Any] = item.get("parameters") or {}
        #: JSON Schema of the result; `None` when the host does not say.
        self.returns: Any = item.get("returns")
        self.streaming = bool(item.get("streaming"))
        self.metadata: dict[str, Any] = item.get("metadata") or {}
        self.__name__ = self.__qualname__ = self.name
        self.__doc__ = help_text(self)

    def __call__(self, *args: "Any", **kwargs: "Any") -> "Any":
        """Call the tool and wait for its result; a streaming tool is started.

        Raises `HostError`, and `Cancelled` when the caller of the running tool gave up.
        """
        return self.call(arguments(args, kwargs))

    def call(self, arguments: "Any" = None, timeout: "float | None" = None) -> "Any":
        """As calling it, with the arguments as one map, waiting at most `timeout` seconds."""
        if self.streaming:
            return wait(self._native, self._stream(arguments, timeout).open())
        return self._native._request(_ops.TOOL_CALL, self.name, arguments, timeout)

    async def call_async(self, *args: "Any", **kwargs: "Any") -> "Any":
        """Call the tool, the event loop going on meanwhile."""
        body = arguments(args, kwargs)
        if self.streaming:
            return await wait_async(self._native, self._stream(body, None).open())
        return await self._native._request_async(_ops.TOOL_CALL, self.name, body, None)

    def stream_async(self, *args: "Any", **kwargs: "Any") -> HostStream:
        """`async for item in tool.stream_async(…)`; the tool starts with the first item."""
        return self._stream(arguments(args, kwargs), None)

    def _stream(self, body: "Any", timeout: "float | None") -> HostStream:
        return HostStream(self._native, self.name, body, timeout)

    @property
    def __signature__(self) -> "Signature":
        """The parameters for `inspect.signature`."""
        return signature(self)

    def __getitem__(self, key: str) -> "Any":
        """`tool["description"]` and the like, as adapters of the original ask."""
        if key in ("name", "description", "parameters", "returns", "streaming", "metadata"):
            return getattr(self, key)
        raise KeyError(key)

    def __repr__(self) -> str:
        """The signature."""
        return f"<HostTool {self.__doc__.partition(chr(10))[0]}>" if self.__doc__ else "<HostTool>"


class HostTools(_Base):
    """Name to `HostTool`; the host is asked once in a call, when the first is looked up."""

    __slots__ = ("_native", "_tools")

    def __init__(self, native: "Native") -> None:
        """The list is fetched later."""
        self._native = native
        self._tools: dict[str, HostTool] | None = None

    def load(self) -> "Steps[HostTools]":
        """Fetch the list now."""
        reply = yield (_ops.TOOLS_LIST, "", None, None)
        self._tools = {str(item["name"]): HostTool(self._native, item) for item in reply}
        return self

    def _known(self) -> "dict[str, HostTool]":
        if self._tools is None:
            wait(self._native, self.load())
        return self._tools or {}

    def __getitem__(self, name: str) -> HostTool:
        """The tool; raises `UnknownToolError`, a `KeyError` and `ValueError`."""
        tools = self._known()
        tool = tools.get(name)
        if tool is None:
            raise unknown(name, list(tools))
        return tool

    def __iter__(self) -> "Iterator[str]":
        """The names."""
        return iter(self._known())

    def __len__(self) -> int:
        """How many tools there are."""
        return len(self._known())

    def __repr__(self) -> str:
        """The names, if they are known."""
        return f"<HostTools {', '.join(self._tools)}>" if self._tools is not None else "<HostTools>"


def unknown(name: object, names: "list[str]") -> UnknownToolError:
    """The error for a name that is not in the list, with the nearest ones."""
    help = _text.did_you_mean(str(name), names)
    if not help:
        shown = ", ".join([f"`{item}`" for item in names[:20]])
        help = f"the tools are {shown}" if shown else "mark tools of the host as exposed"
    return UnknownToolError(f"no host tool is named `{name}`: {help}", "SP8001", help)
