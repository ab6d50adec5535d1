"""Arrays of numbers from the host, where there is no numpy."""

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Array:
    """An array in C order; `data` is a `memoryview` of its elements.

    `numpy.asarray` takes it without a copy, and so does everything that takes a buffer from Python
    3.12 on; before, pass `array.data`.
    """

    __slots__ = ("data", "dtype", "shape")

    def __init__(
        self, dtype: str, format: str, shape: "list[int] | tuple[int, ...]", data: "Any"
    ) -> None:
        """Wrap bytes that are laid out already."""
        #: Name of the element type as numpy has it, for example "float32".
        self.dtype = dtype
        #: Length of each dimension, outermost first.
        self.shape = tuple(shape)
        flat: Any = memoryview(data)
        # A view cannot have a dimension of length 0.
        shaped = math.prod(self.shape) > 0
        self.data: memoryview = flat.cast(format, self.shape) if shaped else flat.cast(format)

    def __buffer__(self, flags: int) -> memoryview:
        """The elements, for whatever takes a buffer."""
        return self.data

    @property
    def __array_interface__(self) -> "dict[str, Any]":
        """The elements, for numpy."""
        kind = "b" if self.dtype == "bool" else self.dtype[0]
        typestr = f"{'|' if self.data.itemsize == 1 else '<'}{kind}{self.data.itemsize}"
        return {"version": 3, "shape": self.shape, "typestr": typestr, "data": self.data.cast("B")}

    def tolist(self) -> "Any":
        """The elements as nested lists of Python numbers; a plain number without dimensions."""
        return self.data.tolist()

    def __len__(self) -> int:
        """Length of the outermost dimension."""
        if not self.shape:
            raise TypeError("an array without dimensions has no length")
        return self.shape[0]

    def __iter__(self) -> "Iterator[Any]":
        """The elements; rows as lists when there are more dimensions."""
        return iter(self.tolist())

    def __getitem__(self, index: "Any") -> "Any":
        """One element by its indices; a part of an array of one dimension by a slice."""
        return self.data[index]

    def __eq__(self, other: object) -> bool:
        """Same shape and equal elements."""
        if not isinstance(other, Array):
            return NotImplemented
        return self.shape == other.shape and self.data == other.data

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Type and shape."""
        return f"<Array {self.dtype} {list(self.shape)}>"
