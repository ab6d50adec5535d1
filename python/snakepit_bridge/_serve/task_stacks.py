"""Stacks of the tasks of event loops: the coroutines that await one another.

Nothing here runs code of tools: frames, awaited objects and references are read through CPython's
own accessors, whatever the classes of the tools define. A running coroutine is left out, since the
stack of its thread shows it.
"""

from __future__ import annotations

import asyncio
import gc
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType

from . import aio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .loop_types import Server

    Frames = list[tuple[str, int, str]]
    Task = asyncio.Task[Any]

#: Most tasks that are examined; most frames of each.
_MAX_TASKS = 64
_MAX_FRAMES = 50
#: Most awaited tasks of one task that are shown.
_MAX_AWAITED = 4
#: Objects between an awaiting coroutine and the awaited one, to which they refer.
_BETWEEN = frozenset(
    (
        *("async_generator_asend", "async_generator_athrow", "anext_awaitable"),
        *("coroutine_wrapper", "FutureIter"),
    )
)
_FUTURE: Any = asyncio.Future
_TASK: Any = asyncio.Task
#: `__await__` of futures that are written in Python.
_AWAIT: Any = getattr(getattr(asyncio.futures, "_PyFuture", None), "__await__", None)
_AWAIT_CODE = getattr(_AWAIT, "__code__", None)
_GATHERING: Any = getattr(asyncio.tasks, "_GatheringFuture", None)

#: Native servers of event loops that many calls share.
_servers: list[Server] = []


def serves(server: Server) -> None:
    """Examine the tasks of this server from now on."""
    _servers.append(server)


def look() -> list[tuple[int, int, str, Frames]]:
    """Return the stacks of waiting tasks, the innermost frame first.

    Each entry has its call, or the thread whose loop it is on, and a name if the call waits for it.
    """
    out: list[tuple[int, int, str, Frames]] = []
    for server in _servers:
        for call, task in server.tasks(_MAX_TASKS):
            awaited: list[Task] = []
            frames = _stack(_coroutine(task), awaited)
            if frames:
                out.append((call, 0, "", frames))
            for other in awaited[:_MAX_AWAITED]:
                frames = _stack(_coroutine(other), [])
                if frames:
                    out.append((call, 0, _TASK.get_name(other), frames))
    for ident, state in list(aio._states.items()):
        task, awaited = state.task, []
        if task is not None:
            frames = _stack(_coroutine(task), awaited)
            if frames and awaited:
                frames = _branch(awaited) + frames
            if frames:
                out.append((0, ident, "", frames))
    return out


def _branch(tasks: list[Task]) -> Frames:
    """Return the first of several tasks, to be put on the thread's frames; `×2` for equal ones."""
    stacks = [_stack(_coroutine(task), []) for task in tasks[:_MAX_TASKS]]
    frames = stacks[0]
    twins = stacks.count(frames)
    if frames and twins > 1:
        file, line, name = frames[-1]
        frames[-1] = file, line, f"{name} ×{twins}"
    return frames


def _coroutine(task: object) -> Any:
    """Return the coroutine of a task, also for a class that overrides `get_coro`."""
    return _TASK.get_coro(task) if issubclass(type(task), _TASK) else None


def _stack(awaited: Any, tasks: list[Task]) -> Frames:
    """Return the frames of a chain of coroutines; adds tasks that its end waits for to `tasks`."""
    frames: Frames = []
    seen: set[int] = set()
    while awaited is not None and id(awaited) not in seen and len(seen) < 4 * _MAX_FRAMES:
        seen.add(id(awaited))
        kind = type(awaited)
        frame: FrameType | None = None
        if kind is CoroutineType:
            frame, running, following = awaited.cr_frame, awaited.cr_running, awaited.cr_await
        elif kind is GeneratorType:
            frame, running, following = awaited.gi_frame, awaited.gi_running, awaited.gi_yieldfrom
        elif kind is AsyncGeneratorType:
            frame, running, following = awaited.ag_frame, False, awaited.ag_await
        elif kind.__name__ in _BETWEEN:
            running, following = False, _referent(awaited)
        elif issubclass(kind, _FUTURE):
            tasks += _tasks_of(awaited)
            break
        else:
            break
        if running:
            break
        if frame is not None:
            code = frame.f_code
            if code is _AWAIT_CODE:
                following = frame.f_locals.get("self")
            elif not _is_ours(code.co_filename) and len(frames) < _MAX_FRAMES:
                name = getattr(code, "co_qualname", code.co_name)
                frames.append((code.co_filename, frame.f_lineno or 0, name))
            # Since Python 3.14 the end of a task group has two frames.
            tasks += [task for task in _tasks_in(frame) if all(task is not it for it in tasks)]
        awaited = following
    frames.reverse()
    return frames


def _is_ours(file: str) -> bool:
    """Return whether a frame belongs to this package's code around a tool."""
    return file.endswith(
        ("/snakepit_bridge/_serve/concurrent.py", "/snakepit_bridge/_serve/aio.py")
    )


def _referent(between: object) -> Any:
    for referent in gc.get_referents(between):
        kind = type(referent)
        if kind in (CoroutineType, GeneratorType, AsyncGeneratorType):
            return referent
        if kind.__name__ in _BETWEEN or issubclass(kind, _FUTURE):
            return referent
    return None


def _tasks_of(future: Any) -> list[Task]:
    """Return the tasks behind a future."""
    if issubclass(type(future), _TASK):
        return [future]
    if type(future) is _GATHERING:
        return _pending(getattr(future, "_children", ()))
    return []


def _tasks_in(frame: FrameType) -> list[Task]:
    """Return the tasks that a function of asyncio waits for through its own future."""
    code = frame.f_code
    if not code.co_filename.endswith(("/asyncio/tasks.py", "/asyncio/taskgroups.py")):
        return []
    given = frame.f_locals
    if code.co_name == "wait_for" and "waiter" in given:
        return _pending([given.get("fut")])
    if code.co_name == "_wait":
        return _pending(given.get("fs", ()))
    if code.co_name in ("__aexit__", "_aexit"):
        return _pending(getattr(given.get("self"), "_tasks", ()))
    return []


def _pending(futures: Iterable[Any]) -> list[Task]:
    tasks = [one for one in list(futures) if issubclass(type(one), _TASK)]
    return [task for task in tasks if not _FUTURE.done(task)]
