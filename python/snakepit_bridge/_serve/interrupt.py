"""Places where an exception may be raised into a tool, and the state of the worker afterwards.

Loaded with the adapter: the handler of a signal usually imports nothing.
"""

from __future__ import annotations

from . import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    import dis
    from types import CodeType, FrameType

#: The module whose import lasts for the whole life of a worker.
_BOOT = errors.PACKAGE + "_boot.py"

#: Instructions at a function's entry, where no call has just returned.
_ENTRIES = {"RESUME", "RESUME_CHECK"}
#: Instructions that load the arguments of a call.
_LOADS = ("LOAD_CONST", "LOAD_FAST", "LOAD_DEREF", "LOAD_SMALL_INT", "PUSH_NULL", "PRECALL")


def importing(frame: FrameType | None) -> bool:
    """Return whether an import is on the stack; an exception would leave half a module."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith("<frozen importlib"):
            return True
        if path == _BOOT:
            return False
        frame = frame.f_back
    return False


def sound(frame: FrameType | None) -> bool:
    """Return whether an exception raised in this frame leaves nothing in an unknown state.

    That holds at the entry of a function, at the end of a loop's body and in a call of `sleep`, as
    long as the stack has only functions of the user. Anywhere else, a resource may just have been
    acquired that no block releases yet.
    """
    try:
        if frame is None or not _between(frame.f_code, frame.f_lasti):
            return False
        while frame is not None:
            path, name = frame.f_code.co_filename, frame.f_code.co_name
            if errors.is_own(path):
                return True
            if errors.is_library(path) or (name.startswith("__") and name.endswith("__")):
                return False
            frame = frame.f_back
    except BaseException:
        return False
    return True


def _ends_loop(instruction: dis.Instruction) -> bool:
    """Return whether an instruction jumps backwards: its name and its form differ by version."""
    target = instruction.argval
    return "JUMP" in instruction.opname and isinstance(target, int) and target <= instruction.offset


def _between(code: CodeType, at: int) -> bool:
    import dis

    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.offset == at:
            if instruction.opname in _ENTRIES or _ends_loop(instruction):
                return True
            break
        before.append(instruction)
    else:
        return False
    if not instruction.opname.startswith("CALL"):
        return False
    for earlier in reversed(before):
        if not earlier.opname.startswith(_LOADS):
            names = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "LOAD_NAME")
            return earlier.opname in names and earlier.argval == "sleep"
    return False
