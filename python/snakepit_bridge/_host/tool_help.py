"""A host tool as Python shows a function: signature and documentation from its JSON Schema."""

from __future__ import annotations

from .. import _text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from inspect import Signature
    from typing import Any

    from .tools import HostTool

_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "array": "list",
    "object": "dict",
}
#: Depth beyond which only the outermost type of a schema is shown.
_MAX_DEPTH = 4


def type_text(schema: Any, definitions: dict[str, Any], depth: int = 0) -> str:
    """Return a schema as an annotation: `list[float]`, `str | None`, a definition's name."""
    if not isinstance(schema, dict) or not schema:
        return "Any"
    schema_: dict[str, Any] = schema
    reference = schema_.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        target = definitions.get(name)
        # A name is more useful than `dict`, and less than `str`.
        if depth < _MAX_DEPTH and isinstance(target, dict) and target.get("type") != "object":
            return type_text(target, definitions, depth + 1)
        return name
    values = schema_.get("enum", [schema_["const"]] if "const" in schema_ else None)
    if isinstance(values, list) and len(values) <= 8:
        return f"Literal[{', '.join([repr(value) for value in values])}]"
    options = schema_.get("anyOf") or schema_.get("oneOf")
    if isinstance(options, list) and depth < _MAX_DEPTH:
        texts = [type_text(option, definitions, depth + 1) for option in options]
        return " | ".join(dict.fromkeys(texts)) or "Any"
    kind = schema_.get("type")
    if isinstance(kind, list):
        texts = [type_text({**schema_, "type": one}, definitions, depth) for one in kind]
        return " | ".join(texts)
    text = _TYPES.get(str(kind), "Any")
    if depth < _MAX_DEPTH:
        if kind == "array" and isinstance(schema_.get("items"), dict):
            return f"list[{type_text(schema_['items'], definitions, depth + 1)}]"
        inner = schema_.get("additionalProperties")
        if kind == "object" and isinstance(inner, dict) and inner:
            return f"dict[str, {type_text(inner, definitions, depth + 1)}]"
    return text


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("$defs") or schema.get("definitions")
    return found if isinstance(found, dict) else {}


def fields(schema: dict[str, Any]) -> list[tuple[str, str, bool, dict[str, Any]]]:
    """Return name, type, requirement and schema of each argument, the required ones first."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return []
    required = schema.get("required") or []
    definitions = _definitions(schema)
    all_: list[tuple[str, str, bool, dict[str, Any]]] = [
        (
            str(name),
            type_text(item, definitions),
            name in required,
            item if isinstance(item, dict) else {},
        )
        for name, item in properties.items()
    ]
    return sorted(all_, key=lambda field: not field[2])


def help_text(tool: HostTool) -> str:
    """Return signature, description, and a line for each argument that has a description."""
    parts: list[str] = []
    details: list[str] = []
    for name, kind, required, schema in fields(tool.parameters):
        default = "" if required else f" = {schema.get('default', ...)!r}".replace("Ellipsis", "…")
        parts.append(f"{name}: {kind}{default}")
        description = schema.get("description")
        if isinstance(description, str):
            details.append(f"    {name}: {' '.join(description.split())}")
    if _open(tool.parameters):
        parts.append("**arguments")
    result = type_text(tool.returns, _definitions(tool.returns or {})) if tool.returns else "Any"
    if tool.streaming:
        result = f"HostStream[{result}]"
    star = "*, " if parts and not parts[0].startswith("*") else ""
    text = f"{tool.name}({star}{', '.join(parts)}) -> {result}"
    if tool.description:
        text += f"\n\n{_text.clean_doc(tool.description)}"
    if details:
        text += "\n\nArguments:\n" + "\n".join(details)
    return text


def _open(schema: dict[str, Any]) -> bool:
    """Return whether arguments that the schema does not name are accepted."""
    return not isinstance(schema.get("properties"), dict) or bool(
        schema.get("additionalProperties")
    )


def signature(tool: HostTool) -> Signature:
    """Return a signature of keyword-only parameters, without names that Python cannot use."""
    import inspect
    import keyword

    parameters: list[inspect.Parameter] = []
    for name, kind, required, schema in fields(tool.parameters):
        if name.isidentifier() and not keyword.iskeyword(name):
            default = inspect.Parameter.empty if required else schema.get("default")
            parameters.append(
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
                )
            )
    if _open(tool.parameters):
        parameters.append(inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)
