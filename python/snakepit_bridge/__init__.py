"""The Python side of snakepit: mark functions as tools, and a Rust program calls them."""

from .adapter import BaseAdapter, Cancelled, tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._arrays.array import Array
    from ._host.errors import HostError
    from ._redact import mask_secret
    from ._session.context import SessionContext, SessionContext as Context
    from ._session.variable import Change
    from .base_adapter_threaded import ThreadSafeAdapter, thread_safe_method
    from .heartbeat import HeartbeatClient, HeartbeatConfig
    from .logging_config import configure_logging, get_logger
    from .zero_copy import ZeroCopyRef

__all__ = [
    "Array",
    "BaseAdapter",
    "Cancelled",
    "Change",
    "Context",
    "HeartbeatClient",
    "HeartbeatConfig",
    "HostError",
    "SessionContext",
    "ThreadSafeAdapter",
    "ZeroCopyRef",
    "__version__",
    "configure_logging",
    "get_logger",
    "mask_secret",
    "thread_safe_method",
    "tool",
]

__version__ = "0.1.0"

#: Places of names that not every worker needs.
_LAZY = {
    "Array": ("_arrays.array", "Array"),
    "Change": ("_session.variable", "Change"),
    "Context": ("_session.context", "SessionContext"),
    "HeartbeatClient": ("heartbeat", "HeartbeatClient"),
    "HeartbeatConfig": ("heartbeat", "HeartbeatConfig"),
    "HostError": ("_host.errors", "HostError"),
    "SessionContext": ("_session.context", "SessionContext"),
    "ThreadSafeAdapter": ("base_adapter_threaded", "ThreadSafeAdapter"),
    "ZeroCopyRef": ("zero_copy", "ZeroCopyRef"),
    "configure_logging": ("logging_config", "configure_logging"),
    "get_logger": ("logging_config", "get_logger"),
    "mask_secret": ("_redact", "mask_secret"),
    "thread_safe_method": ("base_adapter_threaded", "thread_safe_method"),
}


def __getattr__(name: str) -> object:
    """Load a name on first use, so that a worker pays only for what its tools use."""
    place = _LAZY.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # `import_module` would import `importlib`, which a worker does without.
    module = __import__(f"{__name__}.{place[0]}", fromlist=[place[1]])
    value = globals()[name] = getattr(module, place[1])
    return value
