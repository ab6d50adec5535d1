"""Checks, while tests run, whether threads can share an adapter.

The original's module of this name. A checker that is active, by `with ThreadSafetyChecker():` or
`enable_checking()`, receives every call of a `thread_safe_method` and every wait for the lock of a
`ThreadSafeAdapter`; `watch` adds the methods of any other object. Its findings are printed to
stderr, and raised in strict mode.
"""

from __future__ import annotations

import sys
import threading
from functools import wraps

from ._threads.around import NOTHING, around
from ._threads.checker_counts import Execution, LockWaits, MethodRuns
from ._threads.unsafe_libraries import UNSAFE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, ClassVar, TextIO, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "ThreadSafetyChecker",
    "ThreadSafetyError",
    "check_common_pitfalls",
    "check_thread_safe",
    "disable_checking",
    "enable_checking",
    "get_global_checker",
    "print_thread_safety_report",
    "require_thread_safe_adapter",
    "validate_adapter_thread_safety",
]

#: Share of acquisitions with a wait from which on the report recommends a change.
_CONTENDED = 0.1


class ThreadSafetyError(RuntimeError):
    """A finding of a checker in strict mode."""


class ThreadSafetyChecker:
    """Watches methods, locks and libraries; may be used from any number of threads."""

    #: Libraries to find, by import name. Entries may be added: `safe_pattern` is the hint.
    UNSAFE_LIBRARIES: ClassVar[dict[str, dict[str, str]]] = {
        name: {"reason": "not safe to be used by several threads", "safe_pattern": hint}
        for name, hint in UNSAFE.items()
    }

    def __init__(self, enabled: bool = True, strict_mode: bool = False) -> None:
        """Create a checker; a disabled one costs next to nothing; in strict mode findings raise."""
        self.enabled = enabled
        self.strict_mode = strict_mode
        self._lock = threading.Lock()
        self._previous: list[ThreadSafetyChecker | None] = []
        self._forget()

    def _forget(self) -> None:
        self._methods: dict[str, MethodRuns] = {}
        self._locks: dict[str, LockWaits] = {}
        self._findings: dict[tuple[str, str], dict[str, str]] = {}
        #: Running methods by object: thread and method of each run.
        self._inside: dict[int | str, list[tuple[int, str]]] = {}

    def __enter__(self) -> ThreadSafetyChecker:
        """Become the active checker until the end of `with`."""
        global _active
        with _swap:
            self._previous.append(_active)
            _active = self
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous checker."""
        global _active
        with _swap:
            _active = self._previous.pop()

    def track_execution(
        self, method_name: str, owner: object = None, *, safe: bool | None = None
    ) -> Any:
        """Return a context manager that reports one run of a method.

        Runs on one object by several threads at once are a finding, unless its class declares
        `__thread_safe__` or `safe` is true. Without an owner the name itself stands for it.
        """
        if not self.enabled:
            return NOTHING
        if safe is None:
            safe = bool(getattr(owner, "__thread_safe__", False))
        name = method_name if owner is None else f"{type(owner).__qualname__}.{method_name}"
        return Execution(self, name, owner, safe)

    def _enter(self, name: str, owner: object, thread: int, safe: bool) -> None:
        key = name if owner is None else id(owner)
        with self._lock:
            method = self._methods.setdefault(name, MethodRuns())
            method.calls += 1
            method.threads.add(thread)
            inside = self._inside.setdefault(key, [])
            others = [entry for entry in inside if entry[0] != thread]
            method.running += 1
            method.peak = max(method.peak, method.running)
            inside.append((thread, name))
        if not others or safe:
            return
        n_threads = len({ident for ident, _ in others}) + 1
        names = sorted({other for _, other in others} | {name})
        listed = " and ".join(f"`{each}`" for each in names)
        verb = "runs" if len(names) == 1 else "run"
        try:
            self._found(
                "concurrent_access",
                name,
                f"{listed} {verb} in {n_threads} threads concurrently "
                "without being declared thread-safe",
                "protect the written data with a lock, then set `__thread_safe__ = True`",
            )
        except BaseException:
            self._leave(name, owner, thread, 0.0)
            raise

    def _leave(self, name: str, owner: object, thread: int, seconds: float) -> None:
        key = name if owner is None else id(owner)
        with self._lock:
            inside = self._inside.get(key)
            # After a `reset`, a run that began before it is unknown.
            if inside is None or (thread, name) not in inside:
                return
            inside.remove((thread, name))
            if not inside:
                del self._inside[key]
            method = self._methods[name]
            method.running -= 1
            method.seconds += seconds

    def check_method_access(self, method_name: str, thread_id: int | None = None) -> bool:
        """Record that a thread uses a method; return whether it is the only thread so far.

        It cannot know when the use ends, so a second thread is a finding at any later time. To find
        only runs that overlap, use `track_execution` or `watch`.
        """
        if not self.enabled:
            return True
        thread = threading.get_ident() if thread_id is None else thread_id
        with self._lock:
            method = self._methods.setdefault(method_name, MethodRuns())
            method.calls += 1
            method.threads.add(thread)
            n_threads = len(method.threads)
        if n_threads == 1:
            return True
        self._found(
            "shared_access",
            method_name,
            f"`{method_name}` is used by {n_threads} threads",
            "make sure that its runs cannot overlap, or protect the data that it writes with a "
            "lock",
        )
        return False

    def check_library_safety(
        self, imported_modules: Iterable[str] | str | None = None
    ) -> list[str]:
        """Return the libraries that need care: of `imported_modules`, or of all imported ones."""
        if not self.enabled:
            return []
        one = isinstance(imported_modules, str)
        wanted = {imported_modules} if one else imported_modules
        looked_at = set(sys.modules if wanted is None else wanted)
        unsafe = sorted(looked_at & self.UNSAFE_LIBRARIES.keys())
        for name in unsafe:
            known = self.UNSAFE_LIBRARIES[name]
            reason = known.get("reason", "not safe to be used by several threads")
            help = known.get("safe_pattern", "hold a lock around its calls")
            self._found("unsafe_library", name, f"library `{name}` is {reason}", help)
        return unsafe

    def watch(self, target: Any) -> Any:
        """Report every call of the public methods of an object; return the object.

        Methods made by `thread_safe_method` report themselves while a checker is active.
        """
        for name in dir(type(target)):
            method = getattr(type(target), name, None)
            if name.startswith("_") or not hasattr(method, "__code__"):
                continue
            if not getattr(method, "__thread_safe__", False):
                setattr(target, name, self._watched(getattr(target, name), name, target))
        return target

    def _watched(self, method: Any, name: str, owner: object) -> Any:
        return around(method, lambda _: self.track_execution(name, owner))

    def lock_waits(self, name: str) -> Callable[[float | None], None]:
        """Return the callback of a `measured` lock; `name` names the owner of the lock."""

        def waited(seconds: float | None) -> None:
            with self._lock:
                lock = self._locks.setdefault(name, LockWaits())
                lock.taken += 1
                if seconds is not None:
                    lock.contended += 1
                    lock.waited += seconds
                    lock.longest = max(lock.longest, seconds)

        return waited

    def _found(self, kind: str, subject: str, message: str, help: str) -> None:
        with self._lock:
            known = self._findings.get((kind, subject))
            finding = {"kind": kind, "subject": subject, "message": message, "help": help}
            self._findings[kind, subject] = finding
        if self.strict_mode:
            raise ThreadSafetyError(f"{message}; {help}")
        if known is None:
            sys.stderr.write(f"thread safety: {message}; {help}\n")

    def get_report(self) -> dict[str, Any]:
        """Return all findings and counters; `warnings` is empty if there is no finding."""
        with self._lock:
            findings = [dict(finding) for finding in self._findings.values()]
            methods = {name: method.report() for name, method in self._methods.items()}
            locks = {name: lock.report() for name, lock in self._locks.items()}
        advice = [f"{item['subject']}: {item['help']}" for item in findings]
        for name, lock in locks.items():
            if lock["contended"] > lock["taken"] * _CONTENDED:
                share = 100 * lock["contended"] // lock["taken"]
                advice.append(
                    f"{name}: {share} % of the acquisitions of its lock had to wait; hold it for "
                    "a shorter time, or use several locks"
                )
        shared = {name: method["threads"] for name, method in methods.items()}
        return {
            "enabled": self.enabled,
            "strict_mode": self.strict_mode,
            "gil_enabled": gil_enabled(),
            "total_methods_tracked": len(methods),
            "concurrent_accesses": {name: n for name, n in shared.items() if n > 1},
            "warnings_issued": len(findings),
            "warnings": [finding["message"] for finding in findings],
            "findings": findings,
            "libraries": sorted(self.UNSAFE_LIBRARIES.keys() & sys.modules.keys()),
            "methods": methods,
            "locks": locks,
            "recommendations": advice,
        }

    def reset(self) -> None:
        """Drop all findings and counters; running methods are not counted when they end."""
        with self._lock:
            self._forget()


_swap = threading.Lock()
_active: ThreadSafetyChecker | None = None


def gil_enabled() -> bool:
    """Return whether the GIL is on; `False` only on a free-threaded CPython."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


#: Stands for the active checker while there is none.
_idle = ThreadSafetyChecker(enabled=False)


def get_global_checker() -> ThreadSafetyChecker:
    """Return the active checker, or a disabled one if none is active."""
    return _active or _idle


def active_checker() -> ThreadSafetyChecker | None:
    """Return the active checker. `None` if there is none, or it is disabled."""
    checker = _active
    return checker if checker is not None and checker.enabled else None


def enable_checking(strict_mode: bool = False) -> ThreadSafetyChecker:
    """Make a new checker the active one; return it."""
    global _active
    checker = ThreadSafetyChecker(strict_mode=strict_mode)
    with _swap:
        _active = checker
    return checker


def disable_checking() -> None:
    """Deactivate the checker."""
    global _active
    with _swap:
        _active = None


def check_thread_safe(function: F) -> F:
    """Report each call of a method or function to the active checker."""
    name = str(getattr(function, "__name__", "function"))
    # A method's first argument is its object; a plain function is identified by its name.
    code = getattr(function, "__code__", None)
    is_method = code is not None and code.co_varnames[:1] == ("self",)

    def context(args: tuple[Any, ...]) -> Any:
        checker = active_checker()
        owner = args[0] if is_method and args else None
        return NOTHING if checker is None else checker.track_execution(name, owner)

    return around(function, context)


def require_thread_safe_adapter(function: F) -> F:
    """Reject adapters that do not declare `__thread_safe__` as the function's first argument."""
    inner: Any = function

    def wrapper(adapter: Any, *args: Any, **kwargs: Any) -> Any:
        if not getattr(adapter, "__thread_safe__", False):
            cls = adapter if isinstance(adapter, type) else type(adapter)
            raise ValueError(
                f"adapter `{cls.__qualname__}` does not declare that threads may share it: "
                "make it safe, then set `__thread_safe__ = True` on the class"
            )
        return inner(adapter, *args, **kwargs)

    checked: Any = wraps(inner)(wrapper)
    return checked


def check_common_pitfalls(adapter: Any) -> list[str]:
    """Return a line for each part of a class's source that looks unsafe."""
    from ._threads.pitfalls import pitfalls

    return pitfalls(adapter if isinstance(adapter, type) else type(adapter))


def validate_adapter_thread_safety(adapter_class: Any) -> bool:
    """Return whether a class or an object declares `__thread_safe__ = True`.

    Raises `ValueError` instead of returning `False` while a checker in strict mode is active.
    """
    safe = getattr(adapter_class, "__thread_safe__", False) is True
    if not safe and get_global_checker().strict_mode:
        cls = adapter_class if isinstance(adapter_class, type) else type(adapter_class)
        raise ValueError(
            f"adapter `{cls.__qualname__}` does not declare that threads may share it: "
            "make it safe, then set `__thread_safe__ = True` on the class"
        )
    return safe


def print_thread_safety_report(file: TextIO | None = None) -> None:
    """Print the findings and counters of the active checker, for people."""
    checker = active_checker()
    out = sys.stdout if file is None else file
    if checker is None:
        print("thread safety: no checker is active", file=out)
        return
    report = checker.get_report()
    print(f"thread safety: {len(report['warnings'])} finding(s)", file=out)
    for name, method in sorted(report["methods"].items()):
        print(
            f"  {name}: {method['calls']} calls on {method['threads']} threads, "
            f"{method['peak_concurrency']} at once at most, {method['seconds']:.3f} s",
            file=out,
        )
    for name, lock in sorted(report["locks"].items()):
        print(
            f"  lock of {name}: acquired {lock['taken']} times, waited {lock['contended']} times, "
            f"{lock['waited_seconds']:.3f} s",
            file=out,
        )
    for line in [*report["warnings"], *report["recommendations"]]:
        print(f"  - {line}", file=out)
