"""The original's module of this name."""

from ._session import SessionContext

__all__ = ["SessionContext"]
