"""Hints on what to send instead of a value that cannot be sent."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Hints by full names of classes, which the value's class or one of its bases must have.
_BY_CLASS = {
    "builtins.complex": "send `[value.real, value.imag]`",
    "builtins.coroutine": "`await` it, and return its result",
    "builtins.async_generator": "make the tool an async generator itself, or collect the items",
    "builtins.generator": "return `list(value)`, or `yield` the items for a stream",
    "builtins.module": "return what the caller needs of the module",
    "builtins.type": "return an instance, or the name of the class",
    "builtins.function": "call it, and return its result",
    "builtins.method": "call it, and return its result",
    "builtins.builtin_function_or_method": "call it, and return its result",
    "builtins.Exception": "raise it, or return `str(value)`",
    "builtins.range": "return `list(value)`",
    "builtins.slice": "return `[value.start, value.stop, value.step]`",
    "fractions.Fraction": "return `[value.numerator, value.denominator]`, or `str(value)`",
    "pathlib.PurePath": "return `str(value)`",
    "pathlib._local.PurePath": "return `str(value)`",
    "ipaddress._IPAddressBase": "return `str(value)`",
    "re.Pattern": "return `value.pattern`",
    "re.Match": "return `value.groups()`, or `value.group()`",
    "datetime.tzinfo": "return `str(value)`",
    "pandas.Index": "return `value.to_numpy()`, or `value.tolist()`",
    "pandas.core.indexes.base.Index": "return `value.to_numpy()`, or `value.tolist()`",
    "pandas._libs.missing.NAType": "send None instead",
    "pandas.api.typing.NAType": "send None instead",
    "pyarrow.lib.Scalar": "return `value.as_py()`",
    "torch.Tensor": "return `value.detach().cpu().numpy()`",
    "PIL.Image.Image": "save it to an `io.BytesIO` as PNG, and return the bytes",
    "_io._IOBase": "return what you read from it, or its path",
    "io.IOBase": "return what you read from it, or its path",
}

_METHODS = {
    "to_dict": "return `value.to_dict()`",
    "_asdict": "return `value._asdict()`",
    "tolist": "return `value.tolist()`",
    "to_list": "return `value.to_list()`",
    "item": "return `value.item()`",
    "isoformat": "return `value.isoformat()`",
}


def instead(value: "Any") -> "str | None":
    """Return one thing to do; `None` if only the general list of sendable types helps."""
    kind = type(value)
    for base in kind.__mro__:
        found = _BY_CLASS.get(f"{base.__module__}.{base.__qualname__}")
        if found is not None:
            return found
    for name, text in _METHODS.items():
        if callable(getattr(kind, name, None)):
            return text
    abc = sys.modules.get("collections.abc") or sys.modules["_collections_abc"]
    if issubclass(kind, abc.Mapping):
        return "return `dict(value)`"
    if hasattr(kind, "__iter__"):
        return "return `list(value)`"
    if hasattr(value, "__dict__"):
        return "return a dict of what the caller needs, or make the class a dataclass"
    return None
