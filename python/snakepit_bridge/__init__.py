"""The Python side of snakepit: mark functions as tools, and a Rust program calls them."""

from .adapter import BaseAdapter, Cancelled, tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._native import Context

__all__ = ["BaseAdapter", "Cancelled", "Context", "__version__", "tool"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load `Context` on first use, so that the package imports without its extension."""
    if name == "Context":
        from ._native import Context

        globals()["Context"] = Context
        return Context
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
