"""Hooks of a worker for telemetry, installed before user code is imported."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def watched(load: Callable[..., Any], native: ModuleType) -> Callable[..., Any]:
    """Return the loader of adapters, which first installs the hooks if the host takes telemetry.

    The hooks import nothing: they wait until user code imports `logging`, `subprocess` or
    OpenTelemetry.
    """

    def watch_and_load(*args: Any, **kwargs: Any) -> Any:
        version = getattr(native, "telemetry_version", None)
        if version is not None and version():
            _watch(native)
        return load(*args, **kwargs)

    return watch_and_load


def _watch(native: ModuleType) -> None:
    from . import sink

    if not sink.attach(native):
        return
    from os import register_at_fork

    from . import children
    from .on_import import when_imported

    register_at_fork(after_in_child=sink.detach)
    when_imported("logging", _bridge)
    when_imported("subprocess", children.watch_subprocess)
    when_imported("opentelemetry.context", _join)
    children.watch_system()


def _bridge(logging: ModuleType) -> None:
    from .log_bridge import Bridge

    Bridge(logging)


def _join(context: ModuleType) -> None:
    from . import otel

    otel.join(context)
