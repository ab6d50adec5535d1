"""The original's module of this name."""

from . import ShowcaseAdapter

__all__ = ["ShowcaseAdapter"]
