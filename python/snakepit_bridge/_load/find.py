"""Resolution of adapter references: finding and importing a module or an object."""

from __future__ import annotations

import os
import sys

from .. import _text
from .._serve import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class LoadError(Exception):
    """The error of an adapter that cannot be loaded: what happened, where, and what to do."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "SP5003",
        help: str = "",
        file: str = "",
        line: int = 0,
        source: str = "",
        traceback: str = "",
    ) -> None:
        """Keep the fields of the `ToolError` that the host receives."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help
        self.file = file
        self.line = line
        self.source = source
        self.traceback = traceback

    @classmethod
    def of(cls, error: BaseException, what: str, help: str) -> LoadError:
        """Return the error for an exception of user code during `what`."""
        file, line, source = errors.place(error)
        reason = errors.message(error)
        name = type(error).__qualname__
        return cls(
            f"{what}: {name}: {reason}" if reason else f"{what}: {name}",
            help=errors.describe_exception(error)["help"] or help,
            file=file,
            line=line,
            source=source,
            traceback=errors.traceback_text(error),
        )


class Target:
    """The target of a reference: a module, or one object of it."""

    __slots__ = ("attribute", "module", "reference", "value")

    def __init__(self, reference: str, module: ModuleType, attribute: str, value: Any) -> None:
        """Keep the fields; for a whole module, `attribute` is empty and `value` the module."""
        self.reference = reference
        self.module = module
        self.attribute = attribute
        self.value = value


def find(reference: str) -> Target:
    """Import the target of `reference`; raises `LoadError`."""
    head, colon, attribute = reference.rpartition(":")
    if not colon:
        head, attribute = reference, ""
    if not head or (colon and not attribute) or "\0" in reference:
        raise LoadError(
            f"`{reference}` is not an adapter reference",
            help="write path/to/tools.py, path/to/tools.py:function, package.module or "
            "package.module:Class",
        )
    if head.endswith(".py"):
        module = _load_file(head)
    elif "/" in head:
        raise LoadError(
            f"adapter file `{head}` does not end in .py",
            help=f"did you mean `{head}.py`?"
            if os.path.exists(f"{head}.py")
            else "name a .py file",
        )
    else:
        module, rest = _import_longest(head, dotted=not colon)
        attribute = attribute or rest
    if not attribute:
        return Target(reference, module, "", module)
    return Target(reference, module, attribute, _attribute(module, attribute, reference))


def _attribute(module: ModuleType, attribute: str, reference: str) -> Any:
    value: Any = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            names = [name for name in vars(value) if not name.startswith("_")]
            place = "class" if isinstance(value, type) else "module"
            shown = ", ".join(f"`{name}`" for name in names[:10]) or "nothing public"
            raise LoadError(
                f"{place} `{getattr(value, '__name__', value)}` has no attribute `{part}`, "
                f"named by `{reference}`",
                help=_text.did_you_mean(part, names) or f"it has {shown}",
                file=_text.short_path(str(getattr(module, "__file__", None) or "")),
            ) from None
    return value


def _load_file(path: str) -> ModuleType:
    full = os.path.abspath(path)
    folder, name = os.path.split(full)
    if not os.path.isfile(full):
        raise _no_file(path, folder, name)
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == full:
            return module
    packaged = _load_of_package(path, full)
    if packaged is not None:
        return packaged
    # Under its plain name, other files of the directory import the same module object.
    module_name = name[:-3]
    standard = module_name in getattr(sys, "stdlib_module_names", ())
    _refuse_shadows(path, folder)
    if folder not in sys.path:
        # After the standard library if the file would shadow a part of it.
        sys.path.insert(len(sys.path) if standard else 0, folder)
    if standard or "." in module_name or module_name in sys.modules:
        from .. import files as named

        module_name = named.module_name(full)
    import _frozen_importlib as machinery  # pyright: ignore[reportMissingImports]
    import _frozen_importlib_external as files  # pyright: ignore[reportMissingImports]

    found: Any = files.spec_from_file_location(module_name, full)
    module = machinery.module_from_spec(found)
    sys.modules[module_name] = module
    try:
        found.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(module_name, None)
        raise _import_error(error, path) from error
    return module


def _load_of_package(path: str, full: str) -> ModuleType | None:
    """Import a file that lies in a package by its full name, so that relative imports work.

    Without an `__init__.py` beside it, or if another object has the name of the package, the file
    becomes a module of its own.
    """
    folder, name = os.path.split(full)
    parts = [name[:-3]]
    root = folder
    while os.path.isfile(os.path.join(root, "__init__.py")):
        root, part = os.path.split(root)
        parts.insert(0, part)
    if len(parts) == 1 or any("." in part for part in parts):
        return None
    known = getattr(sys.modules.get(parts[0]), "__file__", None)
    package = os.path.join(root, parts[0])
    if known != os.path.join(package, "__init__.py") and (
        parts[0] in sys.modules or parts[0] in getattr(sys, "stdlib_module_names", ())
    ):
        return None
    _refuse_shadows(path, root)
    # The root comes first; files that import their neighbours without the package find them, too.
    for place, at in ((root, 0), (folder, len(sys.path) + 1)):
        if place not in sys.path:
            sys.path.insert(at, place)
    module_name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    try:
        __import__(module_name)
    except BaseException as error:
        raise _import_error(error, path) from error
    return sys.modules[module_name]


def _refuse_shadows(path: str, folder: str) -> None:
    from . import shadows

    found = shadows.first(folder)
    if found is not None:
        raise _shadowed(
            f"`{path}` cannot be loaded", found, "move the adapter to another directory"
        )


def refuse_shadows_on_path() -> None:
    """Raise `LoadError` if a file on the search path shadows a module that the worker needs."""
    from . import shadows

    found = shadows.first_on_path()
    if found is not None:
        folder = _text.short_path(os.path.dirname(found[0]))
        other = f"take `{folder}` off the search path (the working directory, `PYTHONPATH`)"
        raise _shadowed("no adapter can be loaded", found, other)


def _shadowed(what: str, found: tuple[str, str], other: str) -> LoadError:
    shadow, own = found
    return LoadError(
        f"{what}: `{shadow}` would be imported in place of `{own}`, which the worker itself needs",
        help=f"rename `{os.path.basename(shadow)}`, or {other}",
        file=_text.short_path(shadow),
    )


def _no_file(path: str, folder: str, name: str) -> LoadError:
    if os.path.isdir(os.path.join(folder, name)):
        return LoadError(f"adapter `{path}` is a directory", help="name a .py file in it")
    if os.path.exists(os.path.join(folder, name)):
        return LoadError(
            f"adapter `{path}` is not a regular file",
            help="name a file with Python code; pipes and devices cannot be imported",
        )
    if not os.path.isdir(folder):
        return LoadError(
            f"adapter file `{path}` does not exist: no directory `{_text.short_path(folder)}`",
            help="check the path; it is relative to the worker's working directory",
        )
    try:
        files = sorted(entry for entry in os.listdir(folder) if entry.endswith(".py"))
    except OSError:
        files = []
    listed = ", ".join(f"`{entry}`" for entry in files[:5])
    return LoadError(
        f"adapter file `{path}` does not exist",
        help=_text.did_you_mean(name, files)
        or (f"the directory has {listed}" if listed else "the directory has no .py file"),
    )


def _import_longest(name: str, dotted: bool) -> tuple[ModuleType, str]:
    """Import `name`; with `dotted`, the rest after the longest importable part is an attribute."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise LoadError(
            f"`{name}` is not a module name",
            help="write path/to/tools.py for a file, package.module for a module",
        )
    rest: list[str] = []
    while parts:
        module_name = ".".join(parts)
        try:
            __import__(module_name)
            return sys.modules[module_name], ".".join(rest)
        except ModuleNotFoundError as error:
            # Only the requested module itself may be missing; a missing import inside it is its own
            # error.
            missing = error.name or ""
            if missing != module_name and not module_name.startswith(missing + "."):
                raise _import_error(error, module_name) from error
            if not dotted or len(parts) == 1 or missing != module_name:
                raise _no_module(name, missing) from None
            rest.insert(0, parts.pop())
        except BaseException as error:
            raise _import_error(error, module_name) from error
    raise AssertionError("a name has at least one part")


def _no_module(name: str, missing: str) -> LoadError:
    parent, _, top = (missing or name).rpartition(".")
    if parent:
        # Python looks for a module in a package that it has found.
        help = f"correct the name: `{parent}` exists, but has no module `{missing or name}`"
    elif os.path.exists(f"{top}.py"):
        help = f"did you mean the file `{top}.py`?"
    else:
        help = (
            "install it for this interpreter or add its directory to the Python path; "
            f"interpreter: {sys.executable}"
        )
    inside = f", needed for `{name}`" if missing and missing != name else ""
    return LoadError(f"no module named `{missing or name}`{inside}", help=help)


def _import_error(error: BaseException, what: str) -> LoadError:
    if isinstance(error, SyntaxError) and error.filename:
        return LoadError(
            f"`{what}` cannot be imported: {type(error).__name__}: {error.msg}",
            help="fix the syntax; the worker runs Python "
            + ".".join(str(part) for part in sys.version_info[:3]),
            file=_text.short_path(str(error.filename)),
            line=error.lineno or 0,
            source=errors.safe((error.text or "").strip()[:400]),
            traceback=errors.traceback_text(error),
        )
    if isinstance(error, SystemExit):
        return LoadError.of(
            error,
            f"`{what}` ended the process while it was imported",
            'put what runs as a program under `if __name__ == "__main__":`',
        )
    help = "fix the exception that the import raises"
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        help = "create an empty `__init__.py` beside the file, so that its directory is a package"
    return LoadError.of(error, f"`{what}` cannot be imported", help)
