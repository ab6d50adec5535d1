"""`TRACEPARENT` and `TRACESTATE` in the environment of the processes that a tool starts.

`subprocess`, and modules that use it (`os.popen`, asyncio's subprocesses), set them if the child
inherits its environment; an environment that is passed explicitly stays as it is. `os.system` sets
them too. The environment of the worker is never changed: calls on other threads have other traces.
"""

from __future__ import annotations

from . import sink, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

#: Index of `env` among the positional arguments of `Popen`.
_ENV = 10


def watch_subprocess(subprocess: ModuleType) -> None:
    """Make `Popen` pass the trace context to its children."""
    from functools import wraps

    original = subprocess.Popen.__init__

    @wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if sink.is_attached():
            given = args[_ENV] if len(args) > _ENV else kwargs.get("env")
            if given is None:
                place = _place()
                if place:
                    env = _environment(place)
                    if len(args) > _ENV:
                        args = (*args[:_ENV], env, *args[_ENV + 1 :])
                    else:
                        kwargs["env"] = env
        original(self, *args, **kwargs)

    subprocess.Popen.__init__ = __init__


def watch_system() -> None:
    """Make `os.system` export the trace context before the command."""
    import os

    # `Any`, since the type is marked as deprecated.
    module: Any = os
    original = module.system

    def system(command: Any) -> int:
        place = _place() if sink.is_attached() else {}
        exports = "".join([f"export {name}={_quoted(value)}\n" for name, value in place.items()])
        if isinstance(command, str):
            return original(exports + command)
        if isinstance(command, bytes):
            return original(exports.encode() + command)
        return original(command)

    system.__doc__ = original.__doc__
    module.system = system


def _place() -> dict[str, str]:
    try:
        return span.variables()
    except Exception as error:
        sink.warn("children", f"the trace of a process that a tool starts is not known: {error}")
        return {}


def _quoted(value: str) -> str:
    """Quote a value for a shell: a `tracestate` may contain text that a shell would run."""
    return "'" + value.replace("'", "'\\''") + "'"


def _environment(place: dict[str, str]) -> dict[str, str]:
    from os import environ

    return {**environ, **place}
