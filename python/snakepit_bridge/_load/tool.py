"""A tool as the runtime sees it: the function, the checks of its arguments, its place."""

from __future__ import annotations

from .. import _text
from .._hints import schema as _schema
from .._serve import errors
from ..adapter import ToolOptions
from . import callables
from .callables import ASYNC_GENERATOR, COROUTINE, GENERATOR, ITERABLE_COROUTINE, plain
from .parameters import (
    KEYWORD_ONLY,
    NORMAL,
    POSITIONAL_ONLY,
    VAR_KEYWORD,
    VAR_POSITIONAL,
    names,
    signature,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
MAX_NAME = 64

#: Names of the class with which a parameter for the context may be annotated.
_CONTEXTS = ("Context", "SessionContext")

_UNION = type(int | None)
_GENERIC_ALIAS = type(list[int])


class Tool:
    """The description of a tool, which the native runtime reads once."""

    __slots__ = (
        "awaits",
        "catch_all",
        "context",
        "context_index",
        "description",
        "file",
        "function",
        "health_check",
        "is_async",
        "kind",
        "line",
        "name",
        "owner",
        "parameters_schema",
        "params",
        "returns_schema",
        "signature",
        "turn",
        "unchecked",
    )

    def __init__(self, function: Any, options: ToolOptions, owner: Any, sources: Sources):
        """Examine `function`, bound if it is a method of the adapter `owner`."""
        inner = callables.innermost(function)
        flags = callables.flags_of_call(function)
        self.function = function
        self.owner = owner if hasattr(owner, "session_context") else None
        self.name = options.name or getattr(function, "__name__", None) or type(function).__name__
        streaming = options.streaming
        if streaming is None:
            streaming = bool(flags & (GENERATOR | ASYNC_GENERATOR))
            streaming = streaming and not flags & ITERABLE_COROUTINE
        #: True if the tool also accepts every unknown name: as `tool_name`, and the arguments as
        #: one map `arguments`.
        self.catch_all = False
        #: True if only the host calls it, see `_load.health`.
        self.health_check = False
        #: Tools with the same number run one call at a time together.
        self.turn: int | None = None
        self.kind = "stream" if streaming else "call"
        self.is_async = bool(flags & (COROUTINE | ASYNC_GENERATOR))
        #: True if it may return a coroutine, which must be awaited.
        self.awaits = bool((flags | callables.flags(inner)) & COROUTINE)
        self.description = options.description or _text.clean_doc(_doc(function))
        self.file, self.line = sources.place(inner)
        parameters, annotations = signature(function, inner)
        known = names(inner)
        self.context = _context_name(parameters, annotations, known)
        self.signature = _signature(inner, parameters, annotations, flags)
        #: Number of positional parameters before the context; `None` if it is passed by name.
        self.context_index: int | None = None
        for index, (name, kind, _) in enumerate(parameters):
            if name == self.context and kind == NORMAL:
                self.context_index = index
        shown = [p for p in parameters if p[0] != self.context]
        #: Parameters whose annotation is not checked, or only in part, each with the reason.
        self.unchecked: list[tuple[str, str]] = []
        self.params, self.parameters_schema = self._describe(shown, annotations, known)
        self.returns_schema = ""
        if "return" in annotations:
            scope = _schema.Scope(known)
            _, schema = scope.top(annotations["return"])
            for reason in scope.unchecked[:1]:
                comment = errors.safe(f"not understood: {reason}")
                schema = {**schema, "$comment": comment}
            self.returns_schema = scope.text(schema)

    def _describe(
        self,
        parameters: list[tuple[str, int, Any]],
        annotations: dict[str, Any],
        known: dict[str, Any],
    ) -> tuple[list[tuple[str, int, bool, Any]], str]:
        """Return the parameters with their specs, and the JSON Schema of the arguments."""
        scope = _schema.Scope(known)
        params: list[Any] = []
        properties: dict[str, Any] = {}
        required: list[str] = []
        extra: Any = False
        for name, kind, default in parameters:
            annotation = annotations.get(name, object)
            if kind == VAR_KEYWORD:
                from .._hints import records

                fields = records.unpacked_fields(scope, annotation)
                if fields is not None:
                    for field, spec, needed, schema in fields:
                        params.append((field, KEYWORD_ONLY, needed, spec))
                        properties[field] = schema
                        if needed:
                            required.append(field)
                    continue
            scope.unchecked.clear()
            spec, schema = scope.top(annotation)
            for reason in scope.unchecked[:1]:
                part = "not" if spec == _schema.ANY else "only partly"
                # An annotation may have any text in it.
                comment = errors.safe(f"{part} checked: {reason}")
                self.unchecked.append((name, comment))
                schema = {**schema, "$comment": comment}
            needed = default is _schema.MISSING and kind not in (VAR_POSITIONAL, VAR_KEYWORD)
            if default is None:
                spec, schema = _schema.optional(spec, schema)
            params.append((name, kind, needed, spec))
            if kind == VAR_KEYWORD:
                extra = schema or True
            elif kind != VAR_POSITIONAL:
                properties[name] = _schema.with_default(schema, default)
                if needed:
                    required.append(name)
        schema = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": extra,
        }
        return params, scope.text(schema)

    def __repr__(self) -> str:
        """Show the signature."""
        return f"<Tool {self.signature}>"


def valid_name(name: str) -> bool:
    """Return whether a name is valid: 1 to 64 of A-Z, a-z, 0-9, `_`, `.`, `-`."""
    return 0 < len(name) <= MAX_NAME and _NAME_CHARS.issuperset(name) and name[0] not in ".-"


class Sources:
    """The source files of one load, each read once, to find the line of a `def`."""

    def __init__(self) -> None:
        """Create an empty collection."""
        self.lines: dict[str, list[bytes]] = {}

    def place(self, function: Any) -> tuple[str, int]:
        """Return file and line of the `def`; the compiler records the first decorator's line."""
        code = getattr(function, "__code__", None)
        if code is None:
            return "", 0
        path = str(code.co_filename)
        lines = self.lines.get(path)
        if lines is None:
            try:
                with open(path, "rb") as file:
                    lines = file.read().split(b"\n")
            except (OSError, ValueError):
                lines = []
            self.lines[path] = lines
        first = int(code.co_firstlineno)
        head = f"def {code.co_name}".encode()
        for number in range(first, min(len(lines), first + 200) + 1):
            text = lines[number - 1].strip()
            if text.startswith(b"async "):
                text = text[6:].lstrip()
            if text.startswith(head):
                return _text.short_path(path), number
        return _text.short_path(path), first


def _doc(function: Any) -> Any:
    inner = plain(function)
    if not hasattr(inner, "__code__") and not hasattr(inner, "__wrapped__"):
        # The docstring of an instance is its class's, which does not describe the tool.
        return getattr(inner, "__doc__", "") if type(inner).__module__ == "builtins" else ""
    return getattr(inner, "__doc__", "")


def _context_name(
    parameters: list[tuple[str, int, Any]], annotations: dict[str, Any], names: Any
) -> str | None:
    """Return the parameter that receives the `Context`.

    It is annotated with the class, or named `ctx` or `context` without a default and without an
    annotation other than `Any`.
    """
    own = None
    for name, kind, default in parameters:
        if kind not in (NORMAL, KEYWORD_ONLY):
            continue
        annotation = annotations.get(name)
        if annotation is not None and _is_context(annotation, names):
            return name
        named = name in ("ctx", "context") and (default is None or default is _schema.MISSING)
        if named and (name not in annotations or annotation_text(annotation)[-3:] == "Any"):
            own = own or name
    return own


def _is_context(annotation: Any, names: Any) -> bool:
    try:
        return _names_context(annotation, names)
    except Exception:
        # The annotation is an object of any kind.
        return False


def _names_context(annotation: Any, names: Any) -> bool:
    if isinstance(annotation, str):
        text = annotation.replace(" ", "").strip("\"'")
        if text.endswith("]"):
            origin, _, text = text[:-1].partition("[")
            if origin.rpartition(".")[2] not in ("Optional", "Union"):
                return False
        members = [member for member in text.replace("|", ",").split(",") if member != "None"]
        text = members[0].strip("\"'") if len(members) == 1 else ""
        first, *rest = text.split(".")
        found = names.get(first)
        if found is None:
            # A name that is imported only for type checkers does not exist.
            known = not rest or first == "snakepit_bridge"
            return known and text.rpartition(".")[2] in _CONTEXTS
        for part in rest:
            found = getattr(found, part)
        return _is_context(found, names)
    # `Optional[Context]` of `typing`, which must not be imported for it.
    union = type(annotation) is _UNION or type(annotation).__name__ in (
        "_UnionGenericAlias",
        "Union",
    )
    members: Any = getattr(annotation, "__args__", ()) if union else ()
    for member in members or (annotation,):
        text = getattr(member, "__forward_arg__", None)
        if isinstance(text, str) and _names_context(text, names):
            return True
        module = str(getattr(member, "__module__", ""))
        if getattr(member, "__name__", "") in _CONTEXTS and module.startswith("snakepit_bridge"):
            return True
    return False


def _signature(
    function: Any,
    parameters: list[tuple[str, int, Any]],
    annotations: dict[str, Any],
    flags: int,
) -> str:
    """Return `def mean(xs: list[float]) -> float`, from the function itself, on one line."""
    parts: list[str] = []
    last = None
    for name, kind, default in parameters:
        if last == POSITIONAL_ONLY and kind != POSITIONAL_ONLY:
            parts.append("/")
        if kind == KEYWORD_ONLY and last not in (KEYWORD_ONLY, VAR_POSITIONAL):
            parts.append("*")
        text = {VAR_POSITIONAL: "*", VAR_KEYWORD: "**"}.get(kind, "") + name
        if name in annotations:
            text += f": {annotation_text(annotations[name])}"
        if default is not _schema.MISSING:
            equals = " = " if name in annotations else "="
            text += equals + _default_text(default)
        parts.append(text)
        last = kind
    if last == POSITIONAL_ONLY:
        parts.append("/")
    returns = ""
    if "return" in annotations:
        returns = f" -> {annotation_text(annotations['return'])}"
    head = "async def" if flags & (COROUTINE | ASYNC_GENERATOR) else "def"
    text = f"{head} {getattr(function, '__name__', 'tool')}({', '.join(parts)}){returns}"
    # Errors show the line, so a default that is a secret must not be in it.
    return errors.safe(text) if "'" in text or '"' in text else text


def _default_text(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = "…"
    return text if len(text) <= 40 else text[:39] + "…"


def annotation_text(annotation: Any) -> str:
    """Return an annotation as one would write it, without module names."""
    try:
        return _annotation_text(annotation)
    except Exception:
        return "…"


def _annotation_text(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is Ellipsis:
        return "..."
    kind = type(annotation)
    if kind is _GENERIC_ALIAS:
        inside = ", ".join([annotation_text(item) for item in annotation.__args__])
        return f"{annotation.__origin__.__qualname__}[{inside}]"
    if kind is _UNION:
        return " | ".join([annotation_text(item) for item in annotation.__args__])
    if isinstance(annotation, type):
        return annotation.__qualname__
    return repr(annotation).replace("typing.", "").replace("NoneType", "None")
