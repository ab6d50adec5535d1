"""Hints on what to send instead of a value that cannot be sent."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CALL = "call it, and return its result"
_TEXT = "return `str(value)`"
_SERIES = "return `pandas.Series(value)`"
_TOTALS = "return what you compute of it, for example `value.sum()`"
_READ = "return what you read from it, or its path"
_FIELDS = "return `vars(value)`, or a dict of what the caller needs"
_ENDLESS = "it has no end: return `list(itertools.islice(value, count))`, or `yield` the items"

#: Hints by full names of classes, which the value's class or one of its bases must have.
_BY_CLASS = {
    "builtins.complex": "send `[value.real, value.imag]`",
    "builtins.coroutine": "`await` it, and return its result",
    "_asyncio.Future": "`await` it, and return its result",
    "concurrent.futures._base.Future": "return `value.result()`",
    "builtins.async_generator": "make the tool an async generator itself, or collect the items",
    "builtins.generator": "return `list(value)`, or `yield` the items for a stream",
    "builtins.module": "return what the caller needs of the module",
    "builtins.type": "return an instance, or the name of the class",
    "builtins.function": _CALL,
    "builtins.method": _CALL,
    "builtins.builtin_function_or_method": _CALL,
    "builtins.method_descriptor": _CALL,
    "functools.partial": _CALL,
    "numpy.ufunc": _CALL,
    "builtins.BaseException": "raise it, or return `str(value)`",
    "builtins.range": "return `list(value)`",
    "builtins.slice": "return `[value.start, value.stop, value.step]`",
    "builtins.ellipsis": "send None instead",
    "builtins.NotImplementedType": "raise an exception, or send None instead",
    "itertools.count": _ENDLESS,
    "itertools.cycle": _ENDLESS,
    "itertools.repeat": _ENDLESS,
    "types.GenericAlias": _TEXT,
    "types.UnionType": _TEXT,
    "typing.TypeVar": _TEXT,
    "typing.Union": _TEXT,
    "typing._Final": _TEXT,
    "types.SimpleNamespace": _FIELDS,
    "argparse.Namespace": _FIELDS,
    "subprocess.CompletedProcess": _FIELDS,
    "collections.UserString": _TEXT,
    "fractions.Fraction": "return `[value.numerator, value.denominator]`, or `str(value)`",
    "pathlib.PurePath": _TEXT,
    "pathlib._local.PurePath": _TEXT,
    "posix.DirEntry": "return `value.path`",
    "ipaddress._IPAddressBase": _TEXT,
    "re.Pattern": "return `value.pattern`",
    "re.Match": "return `value.groups()`, or `value.group()`",
    "datetime.tzinfo": _TEXT,
    "weakref.ReferenceType": "return `value()`",
    "_ctypes._SimpleCData": "return `value.value`",
    "_ctypes.Array": "return `list(value)`",
    "mmap.mmap": "return `value[:]`",
    "sqlite3.Row": "return `dict(value)`",
    "sqlite3.Cursor": "return `value.fetchall()`",
    "xml.etree.ElementTree.Element": "return `xml.etree.ElementTree.tostring(value)`",
    "_io.BytesIO": "return `value.getvalue()`",
    "_io.StringIO": "return `value.getvalue()`",
    "_io._IOBase": _READ,
    "io.IOBase": _READ,
    "numpy.dtype": _TEXT,
    "numpy.poly1d": "return `value.coeffs`",
    "numpy.random._generator.Generator": "return the numbers that you draw from it",
    "pandas.Index": _SERIES,
    "pandas.core.indexes.base.Index": _SERIES,
    "pandas.MultiIndex": "return `value.to_frame(index=False)`",
    "pandas.core.indexes.multi.MultiIndex": "return `value.to_frame(index=False)`",
    "pandas.api.extensions.ExtensionArray": _SERIES,
    "pandas.core.arrays.base.ExtensionArray": _SERIES,
    "pandas.Interval": "return `[value.left, value.right]`, or `str(value)`",
    "pandas._libs.interval.Interval": "return `[value.left, value.right]`, or `str(value)`",
    "pandas.Period": "return `str(value)`, or `value.start_time`",
    "pandas._libs.tslibs.period.Period": "return `str(value)`, or `value.start_time`",
    "pandas.DateOffset": "return `value.freqstr`",
    "pandas._libs.tslibs.offsets.BaseOffset": "return `value.freqstr`",
    "pandas.api.extensions.ExtensionDtype": _TEXT,
    "pandas.core.dtypes.base.ExtensionDtype": _TEXT,
    "pandas._libs.missing.NAType": "send None instead",
    "pandas.api.typing.NAType": "send None instead",
    "pandas.core.groupby.groupby.BaseGroupBy": _TOTALS,
    "pandas.core.window.rolling.BaseWindow": _TOTALS,
    "polars.expr.expr.Expr": "return a frame that it is computed in, `frame.select(value)`",
    "polars.dataframe.group_by.GroupBy": "return a frame, for example `value.agg(...)`",
    "polars.lazyframe.group_by.LazyGroupBy": "return a frame, `value.agg(...).collect()`",
    "polars.datatypes.classes.DataType": _TEXT,
    "polars.datatypes.classes.DataTypeClass": _TEXT,
    "pyarrow.lib.Scalar": "return `value.as_py()`",
    "pyarrow.lib.Schema": "return `value.empty_table()`, or `str(value)`",
    "pyarrow.lib.Field": _TEXT,
    "pyarrow.lib.DataType": _TEXT,
    "pyarrow.lib.Buffer": "return `value.to_pybytes()`",
    "pyarrow.lib.Tensor": "return `value.to_numpy()`",
    "pydantic.types._SecretBase": "return `value.get_secret_value()` if the caller may see it",
    "pydantic.networks._BaseUrl": _TEXT,
    "pydantic_core._pydantic_core.Url": _TEXT,
    "msgspec.Raw": "return `bytes(value)`",
    "msgspec.UnsetType": "leave the field out, or send None instead",
    "torch.Tensor": "return `value.detach().cpu().numpy()`",
    "PIL.Image.Image": "save it to an `io.BytesIO` as PNG, and return the bytes",
}

_METHODS = {
    "to_dict": "return `value.to_dict()`",
    "_asdict": "return `value._asdict()`",
    "toarray": "return `value.toarray()`",
    "tolist": "return `value.tolist()`",
    "to_list": "return `value.to_list()`",
    "item": "return `value.item()`",
    "isoformat": "return `value.isoformat()`",
}


def instead(value: Any) -> str | None:
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
