"""The methods of a `SessionContext` that concern variables, each waiting and awaiting."""

from ._cache import value_of
from ._steps import wait, wait_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from ._batch import Batch
    from ._host_error import HostError
    from ._native import Context as Native
    from ._variable import Variable
    from ._variables import Variables
    from ._watch import Watch

#: Stands for "no default was given".
_MISSING: "Any" = object()


def _default(value: "Any") -> "dict[str, Any]":
    return {} if value is _MISSING else {"default": value}


class VariableMethods:
    """Part of `SessionContext`. All methods raise `HostError` or one of its subclasses."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: Native
        _parts: dict[str, Any]
        variables: Variables

    def get_variable(self, name: str, default: "Any" = _MISSING) -> "Any":
        """The value, from the cache if it is there.

        Without a variable of this name `default`, or `UnknownVariableError` if none is given.
        """
        variables = self.variables
        found = variables.cache.find(name)
        if found is not None:
            return value_of(found)
        return wait(self._native, variables.get_value(name, **_default(default)))

    async def get_variable_async(self, name: str, default: "Any" = _MISSING) -> "Any":
        """As `get_variable`."""
        steps = self.variables.get_value(name, **_default(default))
        return await wait_async(self._native, steps)

    def variable(self, name: str) -> "Variable":
        """The variable with its type, version, constraints and metadata, from the cache too."""
        variables = self.variables
        return variables.cache.find(name) or wait(self._native, variables.fetch(name))

    async def variable_async(self, name: str) -> "Variable":
        """As `variable`."""
        return await wait_async(self._native, self.variables.read(name))

    def get_variables(self, names: "Iterable[str]", default: "Any" = _MISSING) -> "dict[str, Any]":
        """Several values with at most one request; unknown names as in `get_variable`."""
        return wait(self._native, self.variables.get_values(names, **_default(default)))

    async def get_variables_async(
        self, names: "Iterable[str]", default: "Any" = _MISSING
    ) -> "dict[str, Any]":
        """As `get_variables`."""
        steps = self.variables.get_values(names, **_default(default))
        return await wait_async(self._native, steps)

    def set_variable(self, name: str, value: "Any", expected_version: "int | None" = None) -> int:
        """Set an existing variable; its new version.

        Raises `UnknownVariableError`, and `StaleVersionError` when `expected_version` is given
        and the variable has another one by now.
        """
        return wait(self._native, self.variables.set_one(name, value, expected_version))

    async def set_variable_async(
        self, name: str, value: "Any", expected_version: "int | None" = None
    ) -> int:
        """As `set_variable`."""
        steps = self.variables.set_one(name, value, expected_version)
        return await wait_async(self._native, steps)

    def set_variables(
        self, values: "Mapping[str, Any]", atomic: bool = True
    ) -> "dict[str, int | HostError]":
        """Set several existing variables with one request; the new versions by name.

        Atomic: all are set, or none and the error is raised. Otherwise each is set by itself,
        and the error of one stands in its place.
        """
        return wait(self._native, self.variables.set_many(values, atomic))

    async def set_variables_async(
        self, values: "Mapping[str, Any]", atomic: bool = True
    ) -> "dict[str, int | HostError]":
        """As `set_variables`."""
        return await wait_async(self._native, self.variables.set_many(values, atomic))

    def register_variable(
        self,
        name: str,
        type: str,
        value: "Any",
        constraints: "Mapping[str, Any] | None" = None,
        metadata: "Mapping[str, Any] | None" = None,
    ) -> int:
        """Make a variable; its version. Raises `VariableExistsError`.

        `type` is string, integer, float, boolean, choice, module, embedding, tensor, list or map.
        """
        steps = self.variables.register(name, type, value, constraints, metadata)
        return wait(self._native, steps)

    async def register_variable_async(
        self,
        name: str,
        type: str,
        value: "Any",
        constraints: "Mapping[str, Any] | None" = None,
        metadata: "Mapping[str, Any] | None" = None,
    ) -> int:
        """As `register_variable`."""
        steps = self.variables.register(name, type, value, constraints, metadata)
        return await wait_async(self._native, steps)

    def delete_variable(self, name: str, expected_version: "int | None" = None) -> bool:
        """Delete a variable, with `expected_version` only that one; `False` if there is none.

        Raises `StaleVersionError`, and `UnknownVariableError` if a version of none is expected.
        """
        return wait(self._native, self.variables.delete(name, expected_version))

    async def delete_variable_async(self, name: str, expected_version: "int | None" = None) -> bool:
        """As `delete_variable`."""
        return await wait_async(self._native, self.variables.delete(name, expected_version))

    def list_variables(self, prefix: str = "") -> "list[Variable]":
        """The variables whose names begin so, without their values."""
        return wait(self._native, self.variables.listing(prefix))

    async def list_variables_async(self, prefix: str = "") -> "list[Variable]":
        """As `list_variables`."""
        return await wait_async(self._native, self.variables.listing(prefix))

    def update_variable(self, name: str, function: "Callable[[Any], Any]") -> "Any":
        """Set the variable to `function(value)`; the new value.

        No update of others is lost: when one came between, `function` runs again.
        """
        return wait(self._native, self.variables.update_with(name, function))

    async def update_variable_async(self, name: str, function: "Callable[[Any], Any]") -> "Any":
        """As `update_variable`; `function` is a plain function."""
        return await wait_async(self._native, self.variables.update_with(name, function))

    def batch(self, atomic: bool = True) -> "Batch":
        """`with ctx.batch() as batch: batch["a"] = 1` sets all with one request at the end."""
        from ._batch import Batch

        return Batch(self._native, self.variables, atomic)

    def refresh(self, name: "str | None" = None) -> None:
        """Read one variable, or all that the cache holds, from the host now."""
        wait(self._native, self.variables.refresh(name))

    async def refresh_async(self, name: "str | None" = None) -> None:
        """As `refresh`."""
        await wait_async(self._native, self.variables.refresh(name))

    def watch_variables(
        self, names: "Iterable[str] | None" = None, after: "int | None" = None
    ) -> "Watch":
        """Changes of these variables, or of all, from now on or after the change `after`.

        An iterator, also an async one; it ends after its `stop()` and at the end of the call.
        """
        return wait(self._native, self._watch(names).begin(after))

    async def watch_variables_async(
        self, names: "Iterable[str] | None" = None, after: "int | None" = None
    ) -> "Watch":
        """As `watch_variables`: `async for change in await ctx.watch_variables_async()`."""
        return await wait_async(self._native, self._watch(names).begin(after))

    def _watch(self, names: "Iterable[str] | None") -> "Watch":
        from ._watch import Watch

        watch = Watch(self._native, self.variables.cache, names)
        self._parts.setdefault("watches", []).append(watch)
        return watch
