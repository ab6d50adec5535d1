"""Parameters of a callable and their annotations, as `inspect.signature` returns them."""

from __future__ import annotations

from .._hints import schema
from .callables import FUNCTION, chain, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Code flags of `inspect`, whose import would cost a worker 8 ms.
_VARARGS, _VARKEYWORDS = 0x04, 0x08

POSITIONAL_ONLY, NORMAL, KEYWORD_ONLY, VAR_POSITIONAL, VAR_KEYWORD = range(5)

#: In the order of `inspect.Parameter.kind`.
_KINDS = (POSITIONAL_ONLY, NORMAL, VAR_POSITIONAL, KEYWORD_ONLY, VAR_KEYWORD)


def signature(function: Any, inner: Any) -> tuple[list[tuple[str, int, Any]], dict[str, Any]]:
    """Return name, kind and default of each parameter but a bound `self`, and the annotations.

    The annotation of the result is named `return`. `inner` is the function behind the decorators.
    """
    bound = getattr(function, "__self__", None) is not None and hasattr(function, "__func__")
    outer = plain(function)
    simple = type(inner) is FUNCTION and (bound or outer is function)
    simple = simple and (inner is outer or hasattr(outer, "__wrapped__"))
    if not simple or any(_has_signature(item) for item in chain(function)):
        return _inspected(function, inner)
    return _of_code(inner, bound), annotations_of(inner)


def names(function: Any) -> dict[str, Any]:
    """Return the names that a function's annotations in text form can use."""
    found: dict[str, Any] = getattr(function, "__globals__", {})
    own = getattr(function, "__type_params__", ())
    return {**found, **{item.__name__: item for item in own}} if own else found


def annotations_of(function: Any) -> dict[str, Any]:
    """Return the annotations of a function."""
    try:
        return dict(getattr(function, "__annotations__", None) or {})
    except Exception:
        # Since Python 3.14 annotations are evaluated here; a name may be missing at run time.
        try:
            import annotationlib  # pyright: ignore[reportMissingImports]

            forms: Any = annotationlib
            return dict(forms.get_annotations(function, format=forms.Format.FORWARDREF))
        except Exception:
            return {}


def _has_signature(function: object) -> bool:
    try:
        return hasattr(function, "__signature__")
    except Exception:
        return False


def _of_code(inner: Any, bound: bool) -> list[tuple[str, int, Any]]:
    code = inner.__code__
    normal, only = code.co_argcount, code.co_posonlyargcount
    named = code.co_varnames
    defaults = inner.__defaults__ or ()
    out: list[Any] = []
    for index in range(normal):
        back = index - normal + len(defaults)
        default = defaults[back] if back >= 0 else schema.MISSING
        out.append((named[index], POSITIONAL_ONLY if index < only else NORMAL, default))
    if bound and out:
        del out[0]
    at = normal + code.co_kwonlyargcount
    if code.co_flags & _VARARGS:
        out.append((named[at], VAR_POSITIONAL, schema.MISSING))
    keyword_defaults = inner.__kwdefaults__ or {}
    for name in named[normal : normal + code.co_kwonlyargcount]:
        out.append((name, KEYWORD_ONLY, keyword_defaults.get(name, schema.MISSING)))
    if code.co_flags & _VARKEYWORDS:
        name = named[at + (1 if code.co_flags & _VARARGS else 0)]
        out.append((name, VAR_KEYWORD, schema.MISSING))
    return out


def _inspected(function: Any, inner: Any) -> tuple[list[tuple[str, int, Any]], dict[str, Any]]:
    """Return what `inspect` reports: for builtins, partials, instances, `__signature__`."""
    import inspect

    missing = schema.MISSING
    try:
        found = inspect.signature(function)
    except NameError:
        # Since Python 3.14: a name of an annotation is missing at run time.
        import annotationlib  # pyright: ignore[reportMissingImports]

        forms: Any = annotationlib
        ask: Any = inspect.signature
        found = ask(function, annotation_format=forms.Format.FORWARDREF)
    except Exception:
        anything = [("args", VAR_POSITIONAL, missing), ("kwargs", VAR_KEYWORD, missing)]
        return anything, annotations_of(inner)
    hints: dict[str, Any] = {}
    out: list[Any] = []
    for item in found.parameters.values():
        default = missing if item.default is item.empty else item.default
        out.append((item.name, _KINDS[item.kind], default))
        if item.annotation is not item.empty:
            hints[item.name] = item.annotation
    if found.return_annotation is not found.empty:
        hints["return"] = found.return_annotation
    return out, hints
