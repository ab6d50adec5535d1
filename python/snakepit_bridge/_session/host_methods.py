"""The methods of a `SessionContext` for host tools, programs and the session itself."""

from __future__ import annotations

from .._host import ops
from .._host.steps import wait, wait_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._host.steps import Steps
    from .._native import Context as Native


class HostMethods:
    """Part of `SessionContext`. All methods raise `HostError` or one of its subclasses."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: Native
        _parts: dict[str, Any]

    # Host tools.

    def call_host_tool(
        self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Any:
        """Call a host tool and wait for its result.

        Pass arguments by name, as one map, or by position; an argument named `timeout` only in a
        map. Raises `UnknownToolError`; after `timeout` seconds `HostError`.
        """
        from .._host.tools import arguments

        return self._call_tool(name, arguments(args, kwargs), timeout)

    async def call_host_tool_async(
        self, name: str, /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Any:
        """Call a host tool as `call_host_tool` does, without blocking the event loop."""
        from .._host.tools import arguments

        body = arguments(args, kwargs)
        return await self._native._request_async(ops.TOOL_CALL, name, body, timeout)

    def _call_tool(self, name: str, body: Any, timeout: float | None) -> Any:
        return self._native._request(ops.TOOL_CALL, name, body, timeout)

    # Programs.

    def put_program(self, name: str, value: Any, global_: bool = False) -> None:
        """Store a program in the session or for all sessions; replaces one of the same name."""
        wait(self._native, _put(name, value, global_))

    async def put_program_async(self, name: str, value: Any, global_: bool = False) -> None:
        """Store a program as `put_program` does, without blocking the event loop."""
        await wait_async(self._native, _put(name, value, global_))

    def get_program(self, name: str, global_: bool = False) -> Any:
        """Return the program; raises `UnknownProgramError`, a `KeyError`."""
        return wait(self._native, _program(ops.PROGRAM_GET, name, global_))

    async def get_program_async(self, name: str, global_: bool = False) -> Any:
        """Return the program as `get_program` does, without blocking the event loop."""
        return await wait_async(self._native, _program(ops.PROGRAM_GET, name, global_))

    def delete_program(self, name: str, global_: bool = False) -> bool:
        """Delete the program; return `False` if there is none."""
        return wait(self._native, _program(ops.PROGRAM_DELETE, name, global_)) is not False

    async def delete_program_async(self, name: str, global_: bool = False) -> bool:
        """Delete the program as `delete_program` does, without blocking the event loop."""
        steps = _program(ops.PROGRAM_DELETE, name, global_)
        return await wait_async(self._native, steps) is not False

    def list_programs(self, global_: bool = False) -> list[str]:
        """Return the names of the session's programs, or of the global ones."""
        return wait(self._native, _program(ops.PROGRAM_LIST, "", global_))

    async def list_programs_async(self, global_: bool = False) -> list[str]:
        """Return the names as `list_programs` does, without blocking the event loop."""
        return await wait_async(self._native, _program(ops.PROGRAM_LIST, "", global_))

    # The session.

    def session_info(self) -> dict[str, Any]:
        """Return the host's present description of the session.

        Keys: id, metadata, created_age_s, ttl_s, generation, variables and programs (numbers).
        """
        return wait(self._native, _session())

    async def session_info_async(self) -> dict[str, Any]:
        """Return the description as `session_info` does, without blocking the event loop."""
        return await wait_async(self._native, _session())

    @property
    def session_metadata(self) -> Mapping[str, str]:
        """The session's metadata; requested once in a call, and after `update_metadata`."""
        found = self._parts.get("metadata")
        if found is None:
            found = self._parts["metadata"] = self.session_info()["metadata"]
        return found

    def update_metadata(
        self, values: Mapping[str, str] | None = None, /, replace: bool = False, **more: str
    ) -> None:
        """Merge entries into the session's metadata, or replace it."""
        wait(self._native, self._update(values, replace, more))

    async def update_metadata_async(
        self, values: Mapping[str, str] | None = None, /, replace: bool = False, **more: str
    ) -> None:
        """Update the metadata as `update_metadata` does, without blocking the event loop."""
        await wait_async(self._native, self._update(values, replace, more))

    def _update(
        self, values: Mapping[str, str] | None, replace: bool, more: dict[str, str]
    ) -> Steps[None]:
        body = {"metadata": {**(values or {}), **more}, "replace": replace}
        try:
            yield (ops.SESSION_UPDATE, "", body, None)
        finally:
            self._parts.pop("metadata", None)


def _put(name: str, value: Any, global_: bool) -> Steps[None]:
    yield (ops.PROGRAM_PUT, name, {"global": global_, "value": value}, None)


def _program(op: int, name: str, global_: bool) -> Steps[Any]:
    return (yield (op, name, {"global": global_}, None))


def _session() -> Steps[dict[str, Any]]:
    return (yield (ops.SESSION_GET, "", None, None))
