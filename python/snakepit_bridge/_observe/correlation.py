"""The correlation id: the caller's, unless code has set another one."""

from __future__ import annotations

from contextvars import ContextVar
from os import urandom

from . import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextvars import Token
    from typing import Any

HEADER = "x-snakepit-correlation-id"

#: The id, and the call in which it was set: in other calls it is ignored.
_own: ContextVar[tuple[str, int] | None] = ContextVar("snakepit_correlation_id", default=None)


def correlation_id() -> str | None:
    """Return the id that joins the parts of one request. `None` if the caller gave none."""
    own = _own.get()
    _, _, call, given = span.here()
    if own is not None and (not call or own[1] == call):
        return own[0]
    return given


def new_correlation_id() -> str:
    """Return a random id."""
    return urandom(16).hex()


def set_correlation_id(value: str | None) -> Token[Any]:
    """Use another id from now on in this context; return the argument of `reset_correlation_id`."""
    call = span.here()[2]
    return _own.set(None if value is None else (str(value), call))


def reset_correlation_id(token: Token[Any] | None) -> None:
    """Undo `set_correlation_id`. In another context, or a second time, it does nothing."""
    if token is None:
        return
    try:
        _own.reset(token)
    except (ValueError, RuntimeError):
        return


def get_correlation_id(default: str | None = None) -> str | None:
    """Return `correlation_id()`, or the default without one."""
    value = correlation_id()
    return default if value is None else value


def outgoing_metadata(
    initial: Iterable[tuple[str, str]] | None = None,
) -> list[tuple[str, str]]:
    """Return metadata for a request to another service, with the id and the trace context."""
    metadata = list(initial) if initial else []
    value = correlation_id()
    if value:
        metadata.append((HEADER, value))
    parent = span.traceparent(span.context())
    if parent is not None:
        metadata.append(("traceparent", parent))
        state = span.state()
        if state is not None:
            metadata.append(("tracestate", state))
    return metadata


def from_metadata(metadata: Iterable[tuple[str, str]] | None) -> str | None:
    """Return the id in metadata of a request. `None` if there is none."""
    for key, value in metadata or ():
        if key.lower() == HEADER:
            return value
    return None
