"""Callbacks on imports by user code, so that a worker need not import the modules itself."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


def when_imported(name: str, callback: Callable[[ModuleType], None]) -> None:
    """Call `callback` with a module once it is loaded: now, or after its code has been executed."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        callback(loaded)
        return
    finder: Any = _Finder(name, callback)
    sys.meta_path.insert(0, finder)


class _Finder:
    """A finder that delegates to all others, and calls back when the module has been executed."""

    def __init__(self, name: str, callback: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._callback = callback

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self._name:
            return None
        for finder in list(sys.meta_path):
            find: Any = None if finder is self else getattr(finder, "find_spec", None)
            # Another finder of this class may look for the same module: it would call this one
            # again.
            if find is None or type(finder) is _Finder:
                continue
            spec: Any = find(name, path, target)
            if spec is not None:
                self._follow(spec.loader, name)
                return spec
        return None

    def _call(self, module: ModuleType) -> None:
        try:
            self._callback(module)
        except Exception as error:
            # The import has succeeded, so the importing code gets its module.
            sys.stderr.write(f"snakepit: {self._name} is not watched: {error!r}\n")

    def _follow(self, loader: Any, name: str) -> None:
        """Wrap the loader for all finders of the module, in the order of `when_imported`."""
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            execute(module)
            waiting = [f for f in sys.meta_path if type(f) is _Finder and f._name == name]
            for finder in reversed(waiting):
                sys.meta_path.remove(finder)
                finder._call(module)

        try:
            loader.exec_module = exec_module
        except AttributeError:
            # The loader accepts no attributes: there are no callbacks then.
            return
