"""`SessionContext`: a tool's view of its call, and its access to the host while it runs.

The native context knows the call and carries requests. This class wraps it for tools that take a
context; everything beyond the call itself is created on first use.
"""

from __future__ import annotations

from .host_methods import HostMethods
from .variable_methods import VariableMethods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .._host.tools import HostTools
    from .._native import Context as Native
    from .variables import Variables


class SessionContext(VariableMethods, HostMethods):
    """The call that a tool runs for, with access to its session and to the host's tools.

    May be used from any thread until the call is over; then each request raises `CallOverError`.
    Requests raise `HostError`, and `Cancelled` if the call is cancelled. The methods that end in
    `_async` are for coroutines: they do not block the event loop.
    """

    # Tools may keep attributes of their own on the context, for the time of the call.
    __slots__ = ("__dict__", "_native", "_parts", "host_tools", "stub", "variables")

    #: Variables of the session by name.
    variables: Variables
    #: Host tools by name.
    host_tools: HostTools
    #: The gRPC client of the original library: `None`, except in a context made by hand.
    stub: Any

    def __init__(
        self,
        native: Native | Any,
        session_id: str | None = None,
        request_metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Wrap the context that the runtime made for a call.

        With a session id, make a context by hand, as tests of adapters do: its first argument is
        kept as `stub`, and it has no host to send requests to.
        """
        self._parts: dict[str, Any] = {}
        self.stub = None
        if session_id is not None:
            from .._original.detached import Detached

            self.stub, native = native, Detached(session_id, request_metadata)
        self._native: Native = native

    def __getattr__(self, name: str) -> Any:
        """Create a part on first use; later uses find it in its slot."""
        if name == "variables":
            from .variables import Variables

            # Two threads that come first must both get the same one.
            part = self._parts.setdefault(name, Variables(self._native))
            self.variables = part
        elif name == "host_tools":
            from .._host.tools import HostTools

            part = self._parts.setdefault(name, HostTools(self._native))
            self.host_tools = part
        else:
            raise AttributeError(f"a SessionContext has no attribute {name!r}")
        return part

    # The call.

    @property
    def call_id(self) -> int:
        """Number of the call, unique within one run of the host."""
        return self._native.call_id

    @property
    def session_id(self) -> str | None:
        """The caller's session, if the call belongs to one."""
        return self._native.session_id

    @property
    def worker_id(self) -> str:
        """Name of the worker process."""
        return self._native.worker_id

    @property
    def deadline(self) -> float | None:
        """Time at which the caller stops waiting, in seconds of `time.monotonic()`."""
        return self._native.deadline

    @property
    def cancelled(self) -> bool:
        """True if the caller has cancelled the call; may become true at any moment."""
        return self._native.cancelled

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, never negative; `None` without a deadline."""
        return self._native.remaining()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if the caller has cancelled the call."""
        self._native.raise_if_cancelled()

    # The session as a mapping of its variables.

    def __getitem__(self, name: str) -> Any:
        """Return the value of a variable; raises `UnknownVariableError`, a `KeyError`."""
        return self.variables[name]

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a variable; register it with the type of `value` if it does not exist."""
        self.variables[name] = value

    def __delitem__(self, name: str) -> None:
        """Delete a variable."""
        del self.variables[name]

    def __contains__(self, name: object) -> bool:
        """Return whether the session has the variable."""
        return name in self.variables

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the variables."""
        return iter(self.variables)

    @property
    def cache_ttl(self) -> float:
        """Seconds for which a variable may be served without a request; 0 disables the cache."""
        return self.variables.cache.ttl

    @cache_ttl.setter
    def cache_ttl(self, seconds: float) -> None:
        if not seconds >= 0:
            raise ValueError(f"cache_ttl is a number of seconds, 0 or more, got {seconds!r}")
        self.variables.cache.ttl = float(seconds)

    def invalidate(self, name: str | None = None) -> None:
        """Drop one variable, or all, from the cache."""
        self.variables.cache.drop(name)

    # Names of the original.

    @property
    def request_metadata(self) -> dict[str, str]:
        """Texts that the caller gave for this call, and its `correlation_id` if it has one."""
        found = self._parts.get("request_metadata")
        if found is None:
            found = self._parts.setdefault("request_metadata", self._native.metadata)
        return found

    @property
    def elixir_tools(self) -> HostTools:
        """The original's name of `host_tools`."""
        return self.host_tools

    def call_elixir_tool(self, tool_name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a host tool by the original's name; here values keep their types."""
        from .._host.tools import arguments

        return self._call_tool(tool_name, arguments(args, kwargs), None)

    def cleanup(self) -> None:
        """End the watches of this context. The session stays: it belongs to the host."""
        for watch in self._parts.pop("watches", ()):
            watch.stop()

    def __enter__(self) -> SessionContext:
        """Begin a block that ends the watches at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the watches of this context."""
        self.cleanup()

    def __repr__(self) -> str:
        """Show the call and its session."""
        return (
            f"<SessionContext call_id={self.call_id} session_id={self.session_id!r} "
            f"worker_id={self.worker_id!r}>"
        )
