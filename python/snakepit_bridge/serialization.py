"""The original's module of this name: values as JSON in protobuf's `Any`.

The link itself uses MessagePack and needs none of this; it is here for adapters that use it.
`encode_any` returns `google.protobuf.any_pb2.Any` if protobuf is installed, else `Any` of this
module, with the same two fields.
"""

from __future__ import annotations

import json
from typing import Any as _Any

from ._original.constraints import validate_constraints
from ._redact import redact_secrets
from ._session.variable import is_numpy_scalar
from ._unsendable.markers import REPR_KEY, TYPE_KEY, UNSERIALIZABLE_KEY, convert, is_marker, marker

__all__ = [
    "BINARY_THRESHOLD",
    "REPR_KEY",
    "TYPE_KEY",
    "UNSERIALIZABLE_KEY",
    "Any",
    "GracefulJSONEncoder",
    "TypeSerializer",
    "is_marker",
    "marker",
    "redact_secrets",
    "validate_constraints",
]

#: Largest tensor or embedding in bytes that is encoded as JSON; larger ones are binary.
BINARY_THRESHOLD = 10_240
_URL = "type.googleapis.com/snakepit."
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _special(number: float) -> str:
    """Return the text of a number that JSON lacks."""
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


class Any:
    """A replacement for `google.protobuf.any_pb2.Any` if protobuf is not installed."""

    __slots__ = ("type_url", "value")

    def __init__(self, type_url: str = "", value: bytes = b"") -> None:
        """Keep the fields."""
        self.type_url = type_url
        self.value = value

    def __repr__(self) -> str:
        """Show the fields."""
        return f"Any(type_url={self.type_url!r}, value={self.value!r})"


def _any(type_url: str, value: bytes) -> _Any:
    try:
        from google.protobuf import any_pb2  # type: ignore
    except ImportError:
        return Any(type_url, value)
    return any_pb2.Any(type_url=type_url, value=value)  # type: ignore


class GracefulJSONEncoder(json.JSONEncoder):
    """A JSON encoder for `json.dumps(value, cls=GracefulJSONEncoder)` that inserts markers."""

    def default(self, o: _Any) -> _Any:
        """Return the object's own conversion, or a marker."""
        return convert(o)


class TypeSerializer:
    """Conversion of the original's variable types to and from `Any`."""

    @staticmethod
    def encode_any(value: _Any, var_type: str) -> tuple[_Any, bytes | None]:
        """Return the value as `Any`, and separately the data of a large tensor or embedding.

        Binary data is little-endian float32, described by the JSON in `Any`. Raises `ValueError` if
        the value is not of the type, or JSON cannot represent it.
        """
        shaped = _shaped(value, var_type) if var_type in ("tensor", "embedding") else None
        if shaped is not None:
            shape, data = shaped
            if len(data) * 8 > BINARY_THRESHOLD:
                import struct

                head = {"shape": shape, "dtype": "float32", "binary_format": "raw"}
                text = json.dumps({**head, "type": var_type}).encode()
                return _any(f"{_URL}{var_type}.binary", text), struct.pack(f"<{len(data)}f", *data)
            # JSON has no NaN and no infinities.
            plain: _Any = [number if number - number == 0 else _special(number) for number in data]
            plain = {"shape": shape, "data": plain} if var_type == "tensor" else plain
        else:
            plain = _checked(value, var_type)
        return _any(_URL + var_type, _text(plain).encode()), None

    @staticmethod
    def decode_any(any_msg: _Any, binary_data: bytes | None = None) -> _Any:
        """Return the value in an `Any`; raises `ValueError` if it is not JSON.

        Pickled data of the original is rejected: unpickling runs code of the sender's choice.
        """
        kind = any_msg.type_url.rpartition("/")[2].removeprefix("snakepit.")
        value = json.loads(any_msg.value)
        if kind.endswith(".binary"):
            if value.get("binary_format") != "raw" or binary_data is None:
                raise ValueError(f"binary data of format {value.get('binary_format')!r} is refused")
            import struct

            data = list(struct.unpack(f"<{len(binary_data) // 4}f", binary_data))
            return _reshape(data, value["shape"]) if value["type"] == "tensor" else data
        if kind == "float":
            return _SPECIAL[value] if value in _SPECIAL else float(value)
        if kind == "integer":
            return int(value)
        if kind == "tensor" and isinstance(value, dict):
            return _reshape(_numbers(value["data"]), value["shape"])
        return _numbers(value) if kind == "embedding" else value

    validate_constraints = staticmethod(validate_constraints)


def _text(value: _Any) -> str:
    """Return JSON text; raises `ValueError` with the place of a value that it cannot represent."""
    fault = _fault(value, "$", 0)
    if fault is not None:
        raise ValueError(fault)
    return json.dumps(value, cls=GracefulJSONEncoder, allow_nan=False)


def _fault(value: _Any, path: str, depth: int) -> str | None:
    """Return the first value that JSON cannot represent: its path, and what to send instead."""
    if value is None or isinstance(value, (str, int)):
        return None
    if isinstance(value, float):
        if value - value == 0:
            return None
        return (
            f"{path} is {value}, which JSON cannot represent: send None or a string such as 'NaN'"
        )
    if depth == 100:
        return f"{path[:60]}… nests more than 100 levels deep"
    if isinstance(value, dict):
        keys = [_key(key) for key in value]
        for key, text in zip(value, keys, strict=True):
            if text is None:
                return (
                    f"{path} has the key {key!r:.60}, which is not a JSON key: send it as a string"
                )
        if len(set(keys)) < len(keys):
            twice = next(text for text in keys if keys.count(text) > 1)
            return f"{path} has two keys that are {twice!r:.60} in JSON: send the pairs as a list"
        steps = ((f"{path}[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        steps = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        # The encoder converts other objects.
        return _fault(convert(value), path, depth + 1)
    found = (_fault(item, step, depth + 1) for step, item in steps)
    return next((fault for fault in found if fault is not None), None)


def _key(key: _Any) -> str | None:
    """Return the text of a key in JSON, or `None` if it has none."""
    if isinstance(key, str):
        return key
    if isinstance(key, float) and key - key != 0:
        return None
    plain = key is None or isinstance(key, (int, float))
    return json.dumps(key) if plain else None


def _checked(value: _Any, kind: str) -> _Any:
    """Return the value as JSON represents it; raises `ValueError` if it is not of the type."""
    if is_numpy_scalar(value):
        value = value.item()
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "float" and number:
        return float(value) if value - value == 0 else _special(value)
    if kind == "integer" and number and value - value == 0 and value == int(value):
        return int(value)
    good = {
        "float": False,
        "integer": False,
        "string": isinstance(value, str),
        "choice": isinstance(value, str),
        "module": isinstance(value, str),
        "boolean": isinstance(value, bool),
    }.get(kind, True)
    if not good:
        raise ValueError(f"a {kind} cannot be {type(value).__name__} {value!r:.100}")
    return value


def _shaped(value: _Any, kind: str) -> tuple[list[int], list[float]]:
    """Return shape and flat data of a tensor: an array, nested lists or a map of both."""
    if isinstance(value, dict) and set(value) == {"shape", "data"}:
        shape = [int(length) for length in value["shape"]]
        data = _flatten(value["data"])[1]
    else:
        to_list = getattr(value, "tolist", None)
        shape, data = _flatten(value if to_list is None else to_list())
    count = 1
    for length in shape:
        count *= length
    if count != len(data):
        raise ValueError(f"a {kind} of shape {shape} has {count} numbers, got {len(data)}")
    if kind == "embedding" and len(shape) != 1:
        raise ValueError(f"an embedding has one dimension, got {len(shape)}")
    return shape, data


def _flatten(value: _Any) -> tuple[list[int], list[float]]:
    if isinstance(value, (list, tuple)):
        parts = [_flatten(item) for item in value]
        if any(part[0] != parts[0][0] for part in parts):
            raise ValueError("the lists of a tensor must have the same lengths")
        inner = parts[0][0] if parts else []
        return [len(parts), *inner], [number for part in parts for number in part[1]]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"a tensor has numbers, got {type(value).__name__}")
    return [], [float(value)]


def _numbers(data: list[_Any]) -> list[_Any]:
    """Replace the texts that stand for numbers which JSON lacks."""
    return [_SPECIAL.get(number, number) if isinstance(number, str) else number for number in data]


def _reshape(data: list[_Any], shape: list[int]) -> _Any:
    """Return an array if numpy is installed, else nested lists."""
    try:
        import numpy  # type: ignore
    except ImportError:
        for length in reversed(shape[1:]):
            data = [data[at : at + length] for at in range(0, len(data), length)]
        return data
    return numpy.asarray(data).reshape(shape)
