"""The active backend of `emit`: the worker's, or one that code has set."""

from __future__ import annotations

from .._observe import sink as _sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backends.base import TelemetryBackend

_chosen: list[TelemetryBackend | None] = []
_link: list[TelemetryBackend] = []


def set_backend(backend: TelemetryBackend | None) -> None:
    """Send the events of `emit` to another backend from now on; `None` discards them."""
    _chosen[:] = [backend]


def get_backend() -> TelemetryBackend | None:
    """Return the active backend: one that was set, else in a worker the link, elsewhere `None`."""
    if _chosen:
        return _chosen[0]
    if not _sink.is_attached():
        return None
    if not _link:
        from .backends.link import LinkBackend

        _link.append(LinkBackend())
    return _link[0]


def is_enabled() -> bool:
    """Return whether events are sent: there is a backend, and the host wants them."""
    backend = get_backend()
    if backend is None:
        return False
    return not (_link and backend is _link[0]) or _sink.settings().enabled
