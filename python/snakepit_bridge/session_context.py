"""The original's module of this name."""

from ._session.context import SessionContext

__all__ = ["SessionContext"]
