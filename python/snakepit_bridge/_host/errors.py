"""Errors with which the host answers a tool's requests.

`HostError(message, code=…)` creates the subclass that belongs to the code. So code that raises it
need not know the subclasses, and a tool can catch `KeyError` for missing items.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self


class HostError(RuntimeError):
    """The host rejected or failed a request of the running tool; `str()` is its message."""

    #: Stable code such as `SP7004`; empty if the host sent none.
    code: str
    #: Hint: one thing to do about the error; may be empty.
    help: str
    #: Name of the error's type on the host; may be empty.
    type_name: str

    def __new__(
        cls, message: str = "", code: str = "", help: str = "", type_name: str = ""
    ) -> Self:
        """Choose the subclass for `code`, unless a subclass is requested already."""
        kind = _KINDS.get(code, cls) if cls is HostError else cls
        return super().__new__(kind, message)  # type: ignore

    def __init__(
        self, message: str = "", code: str = "", help: str = "", type_name: str = ""
    ) -> None:
        """Keep the fields of the host's error."""
        super().__init__(message)
        self.code = code
        self.help = help
        self.type_name = type_name

    def __str__(self) -> str:
        """Return the message; `KeyError` would quote it."""
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle with all fields."""
        return type(self), (str(self), self.code, self.help, self.type_name)


class UnknownVariableError(HostError, KeyError):
    """The session has no variable with this name."""


class UnknownProgramError(HostError, KeyError):
    """Neither the session nor, if requested, the host has a program with this name."""


class UnknownToolError(HostError, KeyError, ValueError):
    """The host exposes no tool with this name to this session."""


class VariableExistsError(HostError):
    """A variable with this name is registered already."""


class StaleVersionError(HostError):
    """The variable changed since the version that the caller expected."""


class CallOverError(HostError):
    """The call that the context belongs to is over; the context can make no more requests."""


_KINDS: dict[str, type[HostError]] = {
    "SP7101": UnknownVariableError,
    "SP7102": VariableExistsError,
    "SP7106": StaleVersionError,
    "SP7201": UnknownProgramError,
    "SP8001": UnknownToolError,
    "SP8009": CallOverError,
}


def error_of(fields: Any) -> HostError:
    """Return the error of one item of a batch reply: `{code, message, help}`."""
    get = fields.get
    return HostError(
        str(get("message") or "the host refused the request"),
        str(get("code") or ""),
        str(get("help") or ""),
        str(get("type") or ""),
    )
