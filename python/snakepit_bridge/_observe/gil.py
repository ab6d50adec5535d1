"""Watches imports for an extension module that switches the GIL on in a free-threaded interpreter.

The interpreter switches it on while it creates a module that does not declare `Py_mod_gil`, and
keeps it on. It also warns; but filters may silence that warning, so the import itself is watched.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Watch:
    """The extension modules that are being created, by any thread."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.report = report
        # Exists only from Python 3.13 on; older versions are not watched.
        self.is_enabled: Callable[[], bool] = vars(sys)["_is_gil_enabled"]
        self.lock = allocate_lock()
        self.making = 0
        self.names: list[str] = []

    def enter(self, name: str) -> None:
        with self.lock:
            self.making += 1
            self.names.append(name)

    def leave(self) -> bool:
        """Record that a module was created; return whether the GIL stays on."""
        with self.lock:
            self.making -= 1
            # While another module is being created, the GIL is on temporarily in any case.
            if self.making:
                return False
            names, self.names = self.names, []
            if not self.is_enabled():
                return False
        # Several names if modules were created at the same time, or one inside another: one of them
        # is the cause.
        self.report(", ".join(dict.fromkeys(names)))
        return True


def watch(report: Callable[[str], None]) -> None:
    """Call `report` once, with the name of the module, when an import switches the GIL on."""
    # The class of `importlib.machinery`, without the import of `importlib`.
    from _frozen_importlib_external import ExtensionFileLoader

    watched = _Watch(report)
    original = ExtensionFileLoader.create_module

    def create_module(self: Any, spec: Any) -> Any:
        watched.enter(spec.name)
        try:
            return original(self, spec)
        finally:
            if watched.leave():
                ExtensionFileLoader.create_module = original

    ExtensionFileLoader.create_module = create_module
