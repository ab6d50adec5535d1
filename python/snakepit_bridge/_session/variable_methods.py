"""The methods of a `SessionContext` for variables, each in a blocking and an async form."""

from __future__ import annotations

from .._host.steps import wait, wait_async
from .cache import value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from .._host.errors import HostError
    from .._native import Context as Native
    from .batch import Batch
    from .variable import Variable
    from .variables import Variables
    from .watch import Watch

#: A placeholder for "no default was given".
_MISSING: Any = object()


def _default(value: Any) -> dict[str, Any]:
    return {} if value is _MISSING else {"default": value}


class VariableMethods:
    """Part of `SessionContext`. All methods raise `HostError` or one of its subclasses."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: Native
        _parts: dict[str, Any]
        variables: Variables

    def get_variable(self, name: str, default: Any = _MISSING) -> Any:
        """Return the value, from the cache if it is there.

        If there is no variable of this name, return `default`, or raise `UnknownVariableError` if
        none is given.
        """
        variables = self.variables
        found = variables.cache.find(name)
        if found is not None:
            return value_of(found)
        return wait(self._native, variables.get_value(name, **_default(default)))

    async def get_variable_async(self, name: str, default: Any = _MISSING) -> Any:
        """Return the value as `get_variable` does, without blocking the event loop."""
        steps = self.variables.get_value(name, **_default(default))
        return await wait_async(self._native, steps)

    def variable(self, name: str) -> Variable:
        """Return the variable with type, version, constraints and metadata, from the cache too."""
        variables = self.variables
        return variables.cache.find(name) or wait(self._native, variables.fetch(name))

    async def variable_async(self, name: str) -> Variable:
        """Return the variable as `variable` does, without blocking the event loop."""
        return await wait_async(self._native, self.variables.read(name))

    def get_variables(self, names: Iterable[str], default: Any = _MISSING) -> dict[str, Any]:
        """Return several values with at most one request; unknown names as in `get_variable`."""
        return wait(self._native, self.variables.get_values(names, **_default(default)))

    async def get_variables_async(
        self, names: Iterable[str], default: Any = _MISSING
    ) -> dict[str, Any]:
        """Return values as `get_variables` does, without blocking the event loop."""
        steps = self.variables.get_values(names, **_default(default))
        return await wait_async(self._native, steps)

    def set_variable(self, name: str, value: Any, expected_version: int | None = None) -> int:
        """Set an existing variable; return its new version.

        Raises `UnknownVariableError`, and `StaleVersionError` if `expected_version` is given and
        the variable has another one by now.
        """
        return wait(self._native, self.variables.set_one(name, value, expected_version))

    async def set_variable_async(
        self, name: str, value: Any, expected_version: int | None = None
    ) -> int:
        """Set a variable as `set_variable` does, without blocking the event loop."""
        steps = self.variables.set_one(name, value, expected_version)
        return await wait_async(self._native, steps)

    def set_variables(
        self, values: Mapping[str, Any], atomic: bool = True
    ) -> dict[str, int | HostError]:
        """Set several existing variables with one request; return the new versions by name.

        Atomic: all are set, or none and the error is raised. Otherwise each is set independently,
        and an error takes the place of its version.
        """
        return wait(self._native, self.variables.set_many(values, atomic))

    async def set_variables_async(
        self, values: Mapping[str, Any], atomic: bool = True
    ) -> dict[str, int | HostError]:
        """Set variables as `set_variables` does, without blocking the event loop."""
        return await wait_async(self._native, self.variables.set_many(values, atomic))

    def register_variable(
        self,
        name: str,
        type: str,
        value: Any,
        constraints: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Register a variable; return its version. Raises `VariableExistsError`.

        `type` is string, integer, float, boolean, choice, module, embedding, tensor, list, map or
        data_frame.
        """
        steps = self.variables.register(name, type, value, constraints, metadata)
        return wait(self._native, steps)

    async def register_variable_async(
        self,
        name: str,
        type: str,
        value: Any,
        constraints: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Register a variable as `register_variable` does, without blocking the event loop."""
        steps = self.variables.register(name, type, value, constraints, metadata)
        return await wait_async(self._native, steps)

    def delete_variable(self, name: str, expected_version: int | None = None) -> bool:
        """Delete a variable, if it has `expected_version`; return `False` if there is none.

        Raises `StaleVersionError`, and `UnknownVariableError` if a version of a missing variable is
        expected.
        """
        return wait(self._native, self.variables.delete(name, expected_version))

    async def delete_variable_async(self, name: str, expected_version: int | None = None) -> bool:
        """Delete a variable as `delete_variable` does, without blocking the event loop."""
        return await wait_async(self._native, self.variables.delete(name, expected_version))

    def list_variables(self, prefix: str = "") -> list[Variable]:
        """Return the variables whose names begin with `prefix`, without their values."""
        return wait(self._native, self.variables.listing(prefix))

    async def list_variables_async(self, prefix: str = "") -> list[Variable]:
        """Return the variables as `list_variables` does, without blocking the event loop."""
        return await wait_async(self._native, self.variables.listing(prefix))

    def update_variable(self, name: str, function: Callable[[Any], Any]) -> Any:
        """Set the variable to `function(value)`; return the new value.

        No update of another writer is lost: if one came in between, `function` runs again.
        """
        return wait(self._native, self.variables.update_with(name, function))

    async def update_variable_async(self, name: str, function: Callable[[Any], Any]) -> Any:
        """Update a variable as `update_variable` does, awaiting the host, not `function`."""
        return await wait_async(self._native, self.variables.update_with(name, function))

    def batch(self, atomic: bool = True) -> Batch:
        """Return a batch, which sets variables with one request at the end of its block."""
        from .batch import Batch

        return Batch(self._native, self.variables, atomic)

    def refresh(self, name: str | None = None) -> None:
        """Read one variable, or all cached ones, from the host now."""
        wait(self._native, self.variables.refresh(name))

    async def refresh_async(self, name: str | None = None) -> None:
        """Read variables as `refresh` does, without blocking the event loop."""
        await wait_async(self._native, self.variables.refresh(name))

    def watch_variables(
        self, names: Iterable[str] | None = None, after: int | None = None
    ) -> Watch:
        """Watch changes of these variables, or of all, from now on or after the change `after`.

        Return an iterator, also an async one; it ends after its `stop()` and at the end of the
        call.
        """
        return wait(self._native, self._watch(names).begin(after))

    async def watch_variables_async(
        self, names: Iterable[str] | None = None, after: int | None = None
    ) -> Watch:
        """Watch changes: `async for change in await ctx.watch_variables_async()`."""
        return await wait_async(self._native, self._watch(names).begin(after))

    def _watch(self, names: Iterable[str] | None) -> Watch:
        from .watch import Watch

        watch = Watch(self._native, self.variables.cache, names)
        self._parts.setdefault("watches", []).append(watch)
        return watch
