"""Arrays of numbers from the host, for interpreters without numpy."""

from __future__ import annotations

import math
from _operator import index as _whole

from .elements import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Array:
    """An array in C order; `data` is a `memoryview` of its elements.

    `numpy.asarray` accepts it without a copy, and from Python 3.12 on so does every function that
    accepts a buffer; before, pass `array.data`. A `memoryview` has no float16, complex numbers or
    times: there, `data` has the bits, the pairs of floats or the numbers of steps, while indices,
    iteration and `tolist` return the values that numpy's `tolist` returns.
    """

    __slots__ = ("_kind", "data", "dtype", "shape")

    def __init__(
        self, dtype: str, format: str, shape: list[int] | tuple[int, ...], data: Any
    ) -> None:
        """Wrap bytes in this layout."""
        #: Name of the element type in numpy, for example "float32".
        self.dtype = dtype
        #: Length of each dimension, outermost first.
        self.shape = tuple(shape)
        flat: Any = memoryview(data)
        kind = self._kind = kind_of(dtype)
        parts = self.shape if kind is None or kind.parts == 1 else (*self.shape, kind.parts)
        format = format if kind is None else kind.format
        # A view cannot have a dimension of length 0.
        shaped = math.prod(parts) > 0
        self.data: memoryview = flat.cast(format, parts) if shaped else flat.cast(format)

    def __buffer__(self, flags: int) -> memoryview:
        """Return the elements, for functions that accept a buffer."""
        if self._kind is not None:
            raise BufferError(f"a memoryview has no elements of {self.dtype}: use array.data")
        if self.data.shape != self.shape:
            raise BufferError("a memoryview has no dimension of length 0: use array.data")
        return self.data

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Describe the elements for numpy."""
        kind = "b" if self.dtype == "bool" else self.dtype[0]
        typestr = f"{'|' if self.data.itemsize == 1 else '<'}{kind}{self.data.itemsize}"
        if self._kind is not None:
            typestr = self._kind.typestr
        return {"version": 3, "shape": self.shape, "typestr": typestr, "data": self.data.cast("B")}

    def tolist(self) -> Any:
        """Return the elements as nested lists; a plain value without dimensions."""
        numbers = self.data.tolist()
        if self._kind is None or 0 in self.shape:
            return numbers
        return self._kind.nested(numbers, len(self.shape))

    def __len__(self) -> int:
        """Return the length of the outermost dimension."""
        if not self.shape:
            raise TypeError("an array without dimensions has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the elements; over rows as lists if there are more dimensions."""
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        """Return an element for a full index; for a shorter one a block, which shares memory.

        The last index may be a slice. For an array of one dimension the result is then a
        `memoryview`, or an array if a view cannot have the elements.
        """
        steps: tuple[Any, ...] = index if isinstance(index, tuple) else (index,)
        if len(steps) > max(len(self.shape), self._kind is None):
            raise IndexError(f"{len(steps)} indices for an array of {len(self.shape)} dimensions")
        if len(self.shape) < 2 and self._kind is None:
            return self.data[index]
        if not self.shape:
            return self.tolist()
        part: Any = self
        for place, step in enumerate(steps, 1):
            if not isinstance(step, slice):
                part = part._row(step)
            elif place == len(steps):
                return part._rows(step)
            else:
                raise TypeError("only the last index may be a slice; numpy supports more")
        return part

    def _row(self, step: Any) -> Any:
        length, index = self.shape[0], _whole(step)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range for a dimension of length {length}")
        if len(self.shape) == 1 and self._kind is None:
            return self.data[index]
        block = self._block(self.shape[1:], index % length, index % length + 1)
        return block if block.shape else block.tolist()

    def _rows(self, part: slice) -> Any:
        if len(self.shape) == 1 and self._kind is None:
            return self.data[part]
        rows = range(*part.indices(self.shape[0]))
        shape = (len(rows), *self.shape[1:])
        if rows.step == 1:
            return self._block(shape, rows.start, rows.start + len(rows))
        copies = [self._bytes(row, row + 1) for row in rows]
        return Array(self.dtype, self.data.format, shape, bytearray(b"".join(copies)))

    def _block(self, shape: tuple[int, ...], first: int, end: int) -> Array:
        return Array(self.dtype, self.data.format, shape, self._bytes(first, end))

    def _bytes(self, first: int, end: int) -> memoryview:
        """Return the bytes of some rows."""
        parts = 1 if self._kind is None else self._kind.parts
        size = math.prod(self.shape[1:]) * self.data.itemsize * parts
        return self.data.cast("B")[first * size : end * size]

    def __eq__(self, other: object) -> bool:
        """Compare shapes and elements."""
        if not isinstance(other, Array):
            return NotImplemented
        if (self._kind or other._kind) and self.dtype != other.dtype:
            return False
        return self.shape == other.shape and self.data == other.data

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show type and shape."""
        return f"<Array {self.dtype} {list(self.shape)}>"
