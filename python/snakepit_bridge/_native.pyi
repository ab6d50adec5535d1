"""The compiled worker runtime; `python/native` is its source."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from ._load.catalog import Catalog

class Context:
    """The view that a tool has of its call."""

    @property
    def call_id(self) -> int:
        """Number of the call, unique in one run of the host."""
    @property
    def session_id(self) -> str | None:
        """The caller's session, if the call belongs to one."""
    @property
    def worker_id(self) -> str:
        """Name of the worker process."""
    @property
    def metadata(self) -> dict[str, str]:
        """Texts that the caller gave for the call, by key; a new dict each time."""
    @property
    def deadline(self) -> float | None:
        """Time at which the caller stops waiting, in seconds of `time.monotonic()`."""
    @property
    def cancelled(self) -> bool:
        """True if the caller has cancelled the call; may become true at any moment."""
    def remaining(self) -> float | None:
        """Return the seconds until the deadline, never negative; `None` without a deadline."""
    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if the caller has cancelled the call."""
    def _request(self, op: int, name: str, body: object, timeout: float | None) -> Any:
        """Send a request to the host and wait for its answer; raises `HostError`."""
    def _request_async(
        self, op: int, name: str, body: object, timeout: float | None
    ) -> Awaitable[Any]:
        """Send a request as `_request` does, for the running event loop."""
    def _begin(
        self, op: int, name: str, body: object, timeout: float | None, port: Port
    ) -> tuple[int, float | None]:
        """Send a request whose outcome goes to `port`; return its number and its seconds."""
    def _packed(self, value: object, depth: int) -> object:
        """Encode a value that is `depth` levels deep in requests; the result stands for it."""
    def _port(self) -> Port:
        """Return a port through which an event loop receives the outcomes of its requests."""
    def _give_up(self, number: int) -> BaseException:
        """Abandon a request; return the error for one that took too long."""

class Port:
    """Delivers the outcomes of requests to an event loop."""

    def descriptors(self) -> tuple[int | None, int]:
        """Return what to watch: call `pump` if the first is readable, `take` if the second is."""
    def pump(self) -> list[tuple[int, Any, BaseException | None]]:
        """Read the frames that are there unless another thread reads, then do as `take`."""
    def take(self) -> list[tuple[int, Any, BaseException | None]]:
        """Return number, value and error of the requests that have ended since the last call."""

def run(load: Callable[[str], Catalog], /) -> int:
    """Serve the host named by the environment until it ends the worker; return the exit status."""

def _end_copy() -> None:
    """End this process with a message if it is a forked copy of a worker."""

def pack(obj: Any, /) -> bytes:
    """Encode a value as MessagePack; raises `TypeError` or `ValueError` with the place in it."""

def unpack(data: bytes, /) -> Any:
    """Decode MessagePack; raises `ValueError`."""

def mask_secret(value: str | bytes | bytearray, /) -> bool:
    """Mask a value wherever it stands from now on; `True` if the host masks it, too.

    Raises `ValueError` if it is too short, not UTF-8, or there are too many.
    """

def redact(text: str, /) -> str:
    """Return the text with `<redacted>` in place of what looks like a secret.

    Raises `UnicodeEncodeError` for lone surrogates.
    """

#: The innermost span that Python code has opened in this context, as 25 bytes like those of
#: `telemetry_trace`. Requests to the host while it is set belong to that span.
telemetry_span: ContextVar[bytes | None]

def telemetry_put(kind: int, record: bytes) -> bool:
    """Queue a record for the host without waiting; return `False` if it was dropped and counted.

    1 is an event, 2 a span, 3 a log record, 4 a measurement, each a MessagePack map of at most
    16 KiB. At most 1,024 records and 1 MiB wait. A forked copy of the worker drops all records.
    """

def telemetry_flush() -> None:
    """Send queued records, as far as the connection has room, without waiting."""

def telemetry_trace() -> tuple[bytes | None, int, str | None]:
    """Return the worker's span, the number and the correlation id of the running code's call.

    The span is 16 bytes of trace id, 8 of span id and 1 of flags (1 = sampled), or `None` if the
    call has none. Outside of calls the number is 0. Contexts are followed: tasks, and threads that
    run in a copy of their starter's context if the call is asynchronous or traced.
    """

def telemetry_trace_state() -> str | None:
    """Return the `tracestate` header of the running call's trace."""

def telemetry_settings() -> tuple[int, bytes]:
    """Return the version of the host's settings, and the settings as a MessagePack map.

    Its keys are `enabled`, `sampling`, `allow`, `deny` and `levels`.
    """

def telemetry_version() -> int:
    """Return the version of the host's settings; 0 if the host takes no records."""
