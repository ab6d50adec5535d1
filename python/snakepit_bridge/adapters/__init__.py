"""Adapters that come with the package: a showcase of its features, and a template."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .showcase import ShowcaseAdapter
    from .template import TemplateAdapter

__all__ = ["ShowcaseAdapter", "TemplateAdapter"]

_PLACES = {"ShowcaseAdapter": "showcase", "TemplateAdapter": "template"}


def __getattr__(name: str) -> object:
    """Load an adapter on first use."""
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{place}", fromlist=[name]), name)
