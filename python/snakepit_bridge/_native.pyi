"""The compiled worker runtime; `python/native` is its source."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from ._catalog import Catalog

class Context:
    """What a tool may know about the call that it serves."""

    @property
    def call_id(self) -> int:
        """Number of the call, unique within the worker's life."""
    @property
    def session_id(self) -> str | None:
        """The caller's session, if the call belongs to one."""
    @property
    def worker_id(self) -> str:
        """Name of the worker process."""
    @property
    def deadline(self) -> float | None:
        """When the caller stops waiting, in seconds of `time.monotonic()`."""
    @property
    def cancelled(self) -> bool:
        """Whether the caller gave up; may become true at any moment."""
    def remaining(self) -> float | None:
        """Seconds until the deadline, never negative; `None` without a deadline."""
    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` when the caller gave up."""
    def _request(self, op: int, name: str, body: object, timeout: float | None) -> Any:
        """Ask the host for something and wait for its answer; raises `HostError`."""
    def _request_async(
        self, op: int, name: str, body: object, timeout: float | None
    ) -> Awaitable[Any]:
        """As `_request`, for the running event loop."""
    def _begin(
        self, op: int, name: str, body: object, timeout: float | None, port: Port
    ) -> tuple[int, float | None]:
        """Send a request whose outcome comes to `port`; its number and the seconds it may take."""
    def _port(self) -> Port:
        """A place where an event loop gets the outcomes of its requests."""
    def _give_up(self, number: int) -> BaseException:
        """Nobody waits for this request any more; the error to say that time is up."""

class Port:
    """Where an event loop gets the outcomes of its requests."""

    def descriptors(self) -> tuple[int | None, int]:
        """Readable: the first says `pump`, the second says `take`."""
    def pump(self) -> list[tuple[int, Any, BaseException | None]]:
        """Read what is there, unless another thread does; then as `take`."""
    def take(self) -> list[tuple[int, Any, BaseException | None]]:
        """Number, value and error of what has come to an end since the last time."""

def run(load: Callable[[str], Catalog], /) -> int:
    """Serve the host named by the environment until it says stop; the exit status."""

def _end_copy() -> None:
    """End this process with a message if it is a forked copy of a worker."""

def pack(obj: Any, /) -> bytes:
    """Encode a value as MessagePack; raises `TypeError` or `ValueError` naming the part."""

def unpack(data: bytes, /) -> Any:
    """Decode MessagePack; raises `ValueError`."""

#: The innermost span that Python code has opened in this context, as 25 bytes like those of
#: `telemetry_trace`. What a tool asks of the host while it is set belongs to that span.
telemetry_span: ContextVar[bytes | None]

def telemetry_put(kind: int, record: bytes) -> bool:
    """Queue a record for the host; `False` if it was dropped, which is counted. It never waits.

    1 is an event, 2 a span, 3 a log record, 4 a measurement, each a MessagePack map of at most
    16 KiB. At most 1,024 records and 1 MiB wait. A forked copy of the worker drops all.
    """

def telemetry_flush() -> None:
    """Send the records that wait, as far as the connection has room. It never waits."""

def telemetry_trace() -> tuple[bytes | None, int, str | None]:
    """The worker's span, the number and the correlation id of the call that this code runs for.

    The span is 16 bytes of trace id, 8 of span id and 1 of flags (1 = sampled), or `None` if the
    call has none. Outside of calls the number is 0. Contexts are followed: tasks, and threads
    that run in a copy of their starter's context where the call is asynchronous or traced.
    """

def telemetry_trace_state() -> str | None:
    """Return what goes with the trace of the running call, the header `tracestate`."""

def telemetry_settings() -> tuple[int, bytes]:
    """The version of the host's settings, and the settings as a MessagePack map.

    Its keys are `enabled`, `sampling`, `allow`, `deny` and `levels`.
    """

def telemetry_version() -> int:
    """The version of the host's settings; 0 where the host takes no records."""
