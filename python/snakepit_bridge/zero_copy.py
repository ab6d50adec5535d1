"""References to data that is not moved, under the names of the original library."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["ZeroCopyRef"]

_KEY = "__snakepit_zero_copy__"
_FIELDS = ("kind", "device", "dtype", "shape", "owner", "ref", "copy", "bytes", "metadata")


class ZeroCopyRef:
    """The fields of a reference. Arrays need none: `docs/values.md` describes their encoding."""

    __slots__ = ("payload", *_FIELDS)

    payload: dict[str, Any]
    kind: Any
    device: Any
    dtype: Any
    shape: Any
    owner: Any
    ref: Any
    copy: Any
    bytes: Any
    metadata: Any

    def __init__(self, payload: Mapping[str, Any]) -> None:
        """Read the fields from a mapping; missing ones are `None`, the metadata empty."""
        self.payload = dict(payload)
        for field in _FIELDS:
            setattr(self, field, payload.get(field))
        self.metadata = self.metadata or {}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> ZeroCopyRef:
        """Create a reference from a mapping."""
        return cls(payload)

    def to_payload(self) -> dict[str, Any]:
        """Return the fields as a mapping with the mark of a reference."""
        fields = {field: getattr(self, field) for field in _FIELDS}
        return {_KEY: True, **{key: value for key, value in fields.items() if value is not None}}

    def __repr__(self) -> str:
        """Show the fields that are set."""
        return f"ZeroCopyRef({self.to_payload()})"
