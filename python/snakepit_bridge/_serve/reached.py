"""The exception that the main thread sets for a tool on another thread."""

from __future__ import annotations

from ..adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def cancelled_class(arrived: Callable[[], int | None]) -> type[Cancelled]:
    """Return a `Cancelled` class whose instances report their arrival when they are created.

    Python creates the instance on the tool's thread, when the exception is raised there.
    """

    class Reached(Cancelled):
        def __init__(self, *_: object) -> None:
            call = arrived()
            super().__init__(f"{'the call' if call is None else f'call {call}'} was cancelled")

    Reached.__name__ = Cancelled.__name__
    Reached.__qualname__ = Cancelled.__qualname__
    Reached.__module__ = Cancelled.__module__
    return Reached
