"""The loaded adapter: its tools, and the functions that the runtime calls while it serves them."""

from __future__ import annotations

import sys

from .._serve import aio, errors, interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .._session.context import SessionContext
    from .tool import Tool


#: Seconds that the last measurements of a worker may wait for room.
_LAST = 0.5


class Catalog:
    """The result of `loader.load` for the native runtime."""

    __slots__ = ("_adapters", "_closed", "tools")

    def __init__(self, tools: list[Tool], adapters: list[Any]) -> None:
        """Keep the tools, and the initialised adapter instances in order."""
        self.tools = tools
        self._adapters = adapters
        self._closed = False

    @property
    def context_class(self) -> type[SessionContext]:
        """Return the class that wraps the native context for tools.

        The runtime reads it once, when the first call needs a context.
        """
        from .._session.context import SessionContext

        return SessionContext

    @property
    def convert(self) -> Callable[[Any], Any] | None:
        """Return the function that converts values which cannot be sent; `None` if they are errors.

        The runtime reads it once, when it starts. It calls the function with a result, a chunk or
        the body of a request that it could not encode, and encodes what the function returns.
        """
        from os import environ

        if environ.get("SNAKEPIT_UNSERIALIZABLE", "error") != "marker":
            return None
        from .._unsendable.replace import sendable

        return sendable

    #: Describe an exception as the fields of a `ToolError`.
    describe_exception = staticmethod(errors.describe_exception)
    #: Cancel the coroutine that a thread's loop runs, and report when it is cancelled.
    cancel_task = staticmethod(aio.cancel_task)
    #: Wake the loop of a thread, so that the thread runs an instruction.
    wake_loop = staticmethod(aio.wake_loop)
    #: Return whether the import machinery is on the stack of a frame.
    importing = staticmethod(interrupt.importing)
    #: Return whether an exception that is raised in a frame leaves the worker in a known state.
    sound = staticmethod(interrupt.sound)
    #: Close the event loop of a slot's thread, when the thread ends.
    close_thread = staticmethod(aio.close)
    #: Wait for a coroutine on the worker's event loop.
    run = staticmethod(aio.run)
    #: Return the next item of an async generator, or raise `StopAsyncIteration`.
    anext = staticmethod(aio.anext)
    #: Close an async generator.
    aclose = staticmethod(aio.aclose)

    @staticmethod
    def thread_imports(thread: int) -> bool:
        """Return whether the import machinery is on the stack of another thread."""
        return interrupt.importing(sys._current_frames().get(thread))

    @staticmethod
    def cancelled_class(arrived: Callable[[], int | None]) -> type[BaseException]:
        """Return the exception class for tools of other threads, where `arrived` is called."""
        from .._serve.reached import cancelled_class

        return cancelled_class(arrived)

    def close(self, report: Callable[[str], None] | None = None) -> None:
        """Run `cleanup` of every adapter, last first, then close the event loop; once.

        Every adapter is cleaned up even if others fail; the first exception is raised at the end.
        `report` is called with the name of each adapter before its clean-up, and with an empty name
        after the last.
        """
        if self._closed:
            return
        self._closed = True
        first: BaseException | None = None
        for adapter in reversed(self._adapters):
            try:
                cleanup = getattr(adapter, "cleanup", None)
                if callable(cleanup):
                    if report is not None:
                        report(_name(adapter))
                    aio.run(cleanup())
            except BaseException as error:
                first = first or error
        if report is not None:
            report("")
        _flush()
        _name_threads()
        try:
            aio.close()
        except BaseException as error:
            first = first or error
        if first is not None:
            raise first


def _flush() -> None:
    """Queue the measurements that telemetry has kept back."""
    instruments = sys.modules.get("snakepit_bridge._observe.instruments")
    if instruments is not None:
        instruments.flush(_LAST)


def _name_threads() -> None:
    """Print which threads of tools end with the worker; executors end theirs in order."""
    import sys

    threading = sys.modules.get("threading")
    if threading is None:
        return
    executors = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", ())
    names: list[str] = []
    for thread in threading.enumerate():
        own = thread.name.startswith("snakepit-") or thread is threading.main_thread()
        if own or thread in executors or isinstance(thread, threading._DummyThread):
            continue
        names.append(f"{thread.name!r}{' (daemon)' if thread.daemon else ''}")
    if names:
        sys.stderr.write(
            f"threads that tools started still run and end with the worker: {', '.join(names)}; "
            "daemon threads end immediately, others when they are done or after `stop_grace`\n"
        )


def _name(adapter: Any) -> str:
    """Return the name of an adapter's class, or of the adapter if it is a class or a module."""
    named = adapter if hasattr(adapter, "__name__") else type(adapter)
    return str(getattr(named, "__qualname__", named.__name__))
