"""Variables of the call's session, as a mapping and by methods."""

from __future__ import annotations

from _collections_abc import MutableMapping

from .._host import ops
from .._host.errors import (
    HostError,
    StaleVersionError,
    UnknownVariableError,
    VariableExistsError,
    error_of,
)
from .._host.steps import wait
from .cache import Cache, value_of
from .frames import kept
from .variable import Variable, infer_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from .._host.steps import Steps
    from .._native import Context as Native

    _Base = MutableMapping[str, Any]
else:
    _Base = MutableMapping

MISSING: Any = object()
#: Levels of a request above the value of a variable.
_DEPTH = 3
#: Attempts of `update` if another writer is faster.
MAX_ATTEMPTS = 1000


class Variables(_Base):
    """Variables by name; reading uses the cache, everything else makes a request.

    May be used from any thread while the call runs. All methods raise `HostError`.
    """

    __slots__ = ("_native", "cache")

    def __init__(self, native: Native) -> None:
        """Create the mapping for the session of `native`'s call."""
        self._native = native
        self.cache = Cache()

    def __getitem__(self, name: str) -> Any:
        """Return the value; raises `UnknownVariableError`, a `KeyError`."""
        found = self.cache.find(name)
        if found is None:
            found = wait(self._native, self.fetch(name))
        return value_of(found)

    def __setitem__(self, name: str, value: Any) -> None:
        """Set the variable; register it with the type of `value` if it does not exist."""
        wait(self._native, self.put(name, value))

    def __delitem__(self, name: str) -> None:
        """Delete the variable; raises `UnknownVariableError`."""
        if not wait(self._native, self.delete(name)):
            raise UnknownVariableError(f"variable `{name}` does not exist", "SP7101")

    def __contains__(self, name: object) -> bool:
        """Return whether the variable exists."""
        if not isinstance(name, str):
            return False
        try:
            self[name]
        except UnknownVariableError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        """Iterate over the present names."""
        return iter([item.name for item in wait(self._native, self.listing())])

    def __len__(self) -> int:
        """Return the present number of variables."""
        return len(wait(self._native, self.listing()))

    def __repr__(self) -> str:
        """Show a name without a request."""
        return "<Variables of the session>"

    # The exchanges: `wait` or `wait_async` runs them.

    def fetch(self, name: str) -> Steps[Variable]:
        """Read a variable from the host; raises `UnknownVariableError`."""
        epoch = self.cache.epoch
        variable = Variable.of((yield (ops.VARIABLE_GET, name, None, None)))
        self.cache.store(variable, epoch)
        return variable

    def fetch_many(self, names: Iterable[str]) -> Steps[dict[str, Variable | HostError]]:
        """Read variables from the host in the order of `names`; failed ones are errors."""
        asked = list(names)
        epoch = self.cache.epoch
        reply = yield (ops.VARIABLE_GET, "", {"names": asked}, None)
        found: dict[str, Variable | HostError] = {}
        for name, item in zip(asked, reply, strict=True):
            if item.get("error") is not None:
                found[name] = error_of(item["error"])
            else:
                variable = found[name] = Variable.of(item)
                self.cache.store(variable, epoch)
        return found

    def read(self, name: str) -> Steps[Variable]:
        """Read a variable, from the cache if it is there."""
        found = self.cache.find(name)
        return found if found is not None else (yield from self.fetch(name))

    def get_value(self, name: str, default: Any = MISSING) -> Steps[Any]:
        """Return a value; `default` or `UnknownVariableError` if there is no such variable."""
        try:
            found = yield from self.read(name)
        except UnknownVariableError:
            if default is MISSING:
                raise
            return default
        return value_of(found)

    def get_values(self, names: Iterable[str], default: Any = MISSING) -> Steps[dict[str, Any]]:
        """Return several values with at most one request; unknown names as in `get_value`."""
        asked = list(dict.fromkeys(names))
        found: dict[str, Any] = {name: self.cache.find(name) for name in asked}
        missing = [name for name, variable in found.items() if variable is None]
        if missing:
            found.update((yield from self.fetch_many(missing)))
        for name, item in found.items():
            if not isinstance(item, HostError):
                found[name] = value_of(item)
            elif isinstance(item, UnknownVariableError) and default is not MISSING:
                found[name] = default
            else:
                raise item
        return found

    def set_one(self, name: str, value: Any, expected_version: int | None = None) -> Steps[int]:
        """Set a variable; return its new version. Raises `StaleVersionError` and others."""
        done = yield from self.set_many({name: value}, True, {name: expected_version})
        item = done[name]
        if isinstance(item, HostError):
            raise item
        return item

    def set_many(
        self,
        values: Mapping[str, Any],
        atomic: bool = True,
        expected: Mapping[str, int | None] | None = None,
    ) -> Steps[dict[str, int | HostError]]:
        """Set several variables with one request; return the new versions by name.

        Atomic: all are set, or none and the first error is raised. Otherwise each is set
        independently, and errors are in the result.
        """
        items: list[dict[str, Any]] = []
        for name, value in values.items():
            item: dict[str, Any] = {"name": name, "value": value}
            version = expected.get(name) if expected else None
            if version is not None:
                item["expected_version"] = version
            items.append(item)
        epoch = self.cache.epoch
        try:
            reply = yield (ops.VARIABLE_SET, "", {"items": items, "atomic": atomic}, None)
        except BaseException:
            # It may be unknown whether the host has done it, as after a cancellation.
            for name in values:
                self.cache.drop(name)
            raise
        done: dict[str, int | HostError] = {}
        for (name, value), item in zip(values.items(), reply, strict=True):
            if item.get("error") is not None:
                done[name] = error_of(item["error"])
                self.cache.drop(name)
            else:
                version = done[name] = int(item["version"])
                self.cache.wrote(name, value, version, epoch)
            epoch += 1
        return done

    def put(self, name: str, value: Any) -> Steps[int]:
        """Set the variable, or register it with the type of `value`."""
        sent = value = kept(value)
        if isinstance(value, (dict, list, tuple)):
            # It is sent twice if the variable is new, and may hold what can be read only once.
            sent = self._native._packed(value, _DEPTH)
        while True:
            try:
                return (yield from self.set_one(name, sent))
            except UnknownVariableError:
                kind = infer_type(name, value)
            try:
                return (yield from self.register(name, kind, sent))
            except VariableExistsError:
                # Another caller has registered it meanwhile; then it can be set.
                continue

    def register(
        self,
        name: str,
        type: str,
        value: Any,
        constraints: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Steps[int]:
        """Register a variable; return its version. Raises `VariableExistsError` and others."""
        body: dict[str, Any] = {"type": type, "value": value}
        if constraints:
            body["constraints"] = dict(constraints)
        if metadata:
            body["metadata"] = dict(metadata)
        self.cache.drop(name)
        reply = yield (ops.VARIABLE_REGISTER, name, body, None)
        self.cache.drop(name)
        return int(reply["version"])

    def delete(self, name: str, expected_version: int | None = None) -> Steps[bool]:
        """Delete a variable; return `False` if there is none. Raises `StaleVersionError`."""
        body = {} if expected_version is None else {"expected_version": expected_version}
        try:
            there = yield (ops.VARIABLE_DELETE, name, body, None)
        finally:
            self.cache.drop(name)
        return there is not False

    def listing(self, prefix: str = "") -> Steps[list[Variable]]:
        """Return all variables without their values."""
        reply = yield (ops.VARIABLE_LIST, "", {"prefix": prefix} if prefix else {}, None)
        return [Variable.of(item) for item in reply]

    def update_with(self, name: str, function: Callable[[Any], Any]) -> Steps[Any]:
        """Set the variable to `function(value)`, again if another writer was faster; return it.

        `function` may run several times. Raises `StaleVersionError` after `MAX_ATTEMPTS`.
        """
        attempt = 1
        while True:
            before = yield from self.fetch(name)
            value = kept(function(value_of(before)))
            try:
                yield from self.set_one(name, value, before.version)
            except StaleVersionError:
                if attempt == MAX_ATTEMPTS:
                    raise
                attempt += 1
            else:
                return value

    def refresh(self, name: str | None = None) -> Steps[None]:
        """Read one variable, or all cached ones, from the host now."""
        names = [name] if name is not None else self.cache.names()
        self.cache.drop(name)
        if names:
            found = yield from self.fetch_many(names)
            if name is not None:
                item = found[name]
                if isinstance(item, HostError):
                    raise item
