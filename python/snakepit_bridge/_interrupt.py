"""Where an exception may be raised into a tool, and what is known of the worker afterwards.

It is loaded with the adapter: a signal's handler imports nothing as a rule.
"""

from . import _errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

#: The module whose import the whole life of a worker is.
_BOOT = __file__[: -len("_interrupt.py")] + "_boot.py"

#: Instructions of a function's entry and of a loop's end: no call has just returned there.
_POINTS = {
    "RESUME", "RESUME_CHECK", "JUMP_BACKWARD", "JUMP_BACKWARD_JIT", "JUMP_ABSOLUTE",
    "POP_JUMP_BACKWARD_IF_TRUE", "POP_JUMP_BACKWARD_IF_FALSE",
}  # fmt: skip
#: Instructions that load the arguments of a call.
_LOADS = ("LOAD_CONST", "LOAD_FAST", "LOAD_DEREF", "LOAD_SMALL_INT", "PUSH_NULL", "PRECALL")


def importing(frame: "FrameType | None") -> bool:
    """Whether the import machinery is on the stack: an exception would leave half a module."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith("<frozen importlib"):
            return True
        if path == _BOOT:
            return False
        frame = frame.f_back
    return False


def sound(frame: "FrameType | None") -> bool:
    """Whether an exception raised in this frame leaves nothing in an unknown state.

    It does not at the entry of a function, at the end of a loop's body and in a call of `sleep`, as
    long as nothing is on the stack but functions of the user's own. Anywhere else something may
    just have been acquired whose release no block sees to yet.
    """
    try:
        if frame is None or not _between(frame.f_code, frame.f_lasti):
            return False
        while frame is not None:
            path, name = frame.f_code.co_filename, frame.f_code.co_name
            if _errors.is_own(path):
                return True
            if _errors.is_library(path) or (name.startswith("__") and name.endswith("__")):
                return False
            frame = frame.f_back
    except BaseException:
        return False
    return True


def _between(code: "CodeType", at: int) -> bool:
    import dis

    before: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.offset == at:
            if instruction.opname in _POINTS:
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
