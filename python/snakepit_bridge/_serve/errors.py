"""Exceptions of user code as data: type, message, traceback, notes, cause, place.

Nothing here may fail: a broken `__str__`, a cycle of causes or a huge traceback become text of
bounded size.
"""

from __future__ import annotations

import os
import sys

# Imported now: when the first error occurs, the package's files may have been replaced.
from .. import _redact, _text
from .._host import errors
from ..adapter import Cancelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

PACKAGE = __file__[: -len("_serve/errors.py")]
#: Adapters that come with the package count as user code.
_EXAMPLES = PACKAGE + "adapters/"
_MAX_CAUSES = 8
_MAX_MESSAGE = 16 * 1024
_MAX_CAUSE_TRACEBACK = 16 * 1024
_MAX_NOTES = 16


#: A descriptor that the first error closes for its imports; a tool may use all others.
_spare: list[int] = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)]


def _prepare() -> None:
    """Import the modules that describing needs; workers without errors never do."""
    os.close(_spare.pop())
    try:
        for module in ("linecache", "tokenize", "traceback"):
            __import__(module)
    except Exception:
        return


def describe_exception(error: BaseException, tool: Any = None) -> dict[str, Any]:
    """Return the fields of a `ToolError` for an exception that left `tool`, or any code."""
    if _spare:
        _prepare()
    return _describe(error, tool, set(), 0)


def _describe(error: BaseException, tool: Any, seen: set[int], depth: int) -> dict[str, Any]:
    seen.add(id(error))
    kind = type(error)
    limit = _text.MAX_TEXT if depth == 0 else _MAX_CAUSE_TRACEBACK
    text = traceback_text(error, chain=depth == 0, limit=limit)
    file, line, source = place(error)
    if not file and tool is not None and depth == 0:
        file, line, source = tool.file, tool.line, tool.signature
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    nested = None
    if cause is not None and id(cause) not in seen and depth < _MAX_CAUSES:
        nested = _describe(cause, None, seen, depth + 1)
    help = _help(error)
    if not help and nested and error.__cause__ is not None:
        help = nested["help"]
    return {
        "code": _code(error),
        "type": kind.__qualname__,
        "module": str(kind.__module__),
        "message": message(error),
        "traceback": text,
        "notes": _notes(error),
        "cause": nested,
        "file": file,
        "line": line,
        "source": source,
        "help": help,
    }


def _code(error: BaseException) -> str:
    """Return the stable code; an error of the host that the tool did not catch keeps its own."""
    if isinstance(error, Cancelled):
        return "SP3002"
    code = _of_the_host(error, "code")
    return code if code.startswith("SP") else "SP3001"


def _of_the_host(error: BaseException, field: str) -> str:
    """Return a field of an error that the host has answered with; empty for other errors."""
    if not isinstance(error, errors.HostError):
        return ""
    text = getattr(error, field, "")
    return text if isinstance(text, str) else ""


def message(error: BaseException) -> str:
    """Return `str(error)`, or a replacement if that fails."""
    try:
        text = str(error)
    except BaseException as broken:
        text = f"<the exception's text is not available: {type(broken).__name__} in __str__>"
    return safe(_text.clip(text, _MAX_MESSAGE))


def safe(text: str) -> str:
    """Return the text with secrets masked, encodable as UTF-8."""
    return _redact.redact_secrets(text)


def _brief(text: str, limit: int) -> str:
    """Return the beginning of a text; its secrets are masked before it is cut."""
    return _text.begin(safe(_text.begin(text, limit + _text.MAX_SECRET)), limit)


def _notes(error: BaseException) -> list[str]:
    try:
        notes: Any = getattr(error, "__notes__", None) or []
        return [safe(_text.clip(str(note), _MAX_MESSAGE)) for note in list(notes)[:_MAX_NOTES]]
    except BaseException:
        return []


def _help(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name
        if "." in name:
            # Python looks for a module in a package that it has found. The name stays whole: it may
            # be a secret, a part of which is not found.
            return f"correct the name: the package of `{name}` exists, but has no such module"
        return f"install `{name}` for {sys.executable}, or add its directory to the Python path"
    missing = _missing_variable(error)
    if missing:
        return (
            f"pass it to the workers: `inherit_env = [{_quoted(missing)}]` in the settings of "
            "the pool, or `PoolBuilder::env`; by default they receive a short list of variables "
            "(docs/profiles.md)"
        )
    return safe(_of_the_host(error, "help"))


def _quoted(name: str) -> str:
    """Quote a name as a string of TOML."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _missing_variable(error: BaseException) -> str:
    """Return the variable that `os.environ` lacks, if that is the error."""
    if type(error) is not KeyError or len(error.args) != 1:
        return ""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None or not any(
        step.tb_frame.f_locals.get("self") is table for table in (os.environ, os.environb)
    ):
        return ""
    name = error.args[0]
    return _brief(os.fsdecode(name), 200) if isinstance(name, (str, bytes)) else ""


def traceback_text(error: BaseException, chain: bool = True, limit: int = _text.MAX_TEXT) -> str:
    """Return the traceback as Python prints it, without this package's frames, cut to `limit`."""
    try:
        import traceback

        formatted: Any = traceback.TracebackException(
            type(error), error, error.__traceback__, compact=True
        )
        _hide(formatted, 0)
        # Cut before secrets are searched for, which takes time for each character.
        text = _cut("".join(formatted.format(chain=chain)), limit)
        return _text.clip(safe(text), limit)
    except BaseException:
        return f"{type(error).__qualname__}: {message(error)}\n"


def _cut(text: str, limit: int) -> str:
    """Cut whole lines from the middle of a text: half a line may hold half a secret."""
    if len(text) <= limit:
        return text
    room = limit - 64
    head, tail = text[: room // 4], text[room // 4 - room :]
    head, tail = head[: head.rfind("\n") + 1] or f"{head}\n", tail[tail.find("\n") + 1 :]
    if not tail:
        # The last line alone is too long; its beginning says what was raised.
        last = text.rfind("\n", 0, len(text) - 1) + 1
        tail = text[last : last + room - room // 4]
    left_out = len(text) - len(head) - len(tail)
    return f"{head}… {left_out} characters left out …\n{tail}"


def _hide(formatted: Any, depth: int) -> None:
    if formatted is None or depth > 64:
        return
    kept = [frame for frame in formatted.stack if not is_own(frame.filename)]
    del formatted.stack[:]
    formatted.stack.extend(kept)
    _hide(formatted.__cause__, depth + 1)
    _hide(formatted.__context__, depth + 1)
    for inner in getattr(formatted, "exceptions", None) or ():
        _hide(inner, depth + 1)


def is_own(path: str) -> bool:
    """Return whether a file belongs to this package's machinery or to the import machinery."""
    if path.startswith(_EXAMPLES):
        return False
    return path.startswith((PACKAGE, "<frozen importlib"))


def is_library(path: str) -> bool:
    """Return whether a file belongs to the standard library or to an installed package."""
    library = getattr(sys.modules.get("os"), "__file__", None) or ""
    folder = library.rpartition("/")[0]
    return (
        path.startswith("<")
        or "/site-packages/" in path
        or "/dist-packages/" in path
        or bool(folder and path.startswith(folder + "/"))
    )


def place(error: BaseException) -> tuple[str, int, str]:
    """Return file, line and source line of the innermost frame of the user's own code.

    Frames of libraries count only if there is no other; `("", 0, "")` if there is none.
    """
    best: tuple[str, int] | None = None
    library: tuple[str, int] | None = None
    step: TracebackType | None = error.__traceback__
    while step is not None:
        path = step.tb_frame.f_code.co_filename
        if not is_own(path):
            if is_library(path):
                library = (path, step.tb_lineno or 0)
            else:
                best = (path, step.tb_lineno or 0)
        step = step.tb_next
    found = best or library
    if found is None:
        return "", 0, ""
    return _text.short_path(found[0]), found[1], source_line(*found)


def source_line(path: str, line: int) -> str:
    """Return a line of a source file without its indentation; empty if it cannot be read."""
    try:
        import linecache

        return _brief(linecache.getline(path, line).strip(), 400)
    except BaseException:
        return ""
