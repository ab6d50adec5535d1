"""The published schema of a tool and the checks of its arguments agree.

Whatever the schema admits is accepted, and whatever it excludes is refused.
"""

import base64
import fractions
import ipaddress
import json
import os

import pytest
from hint_sources import LEAVES, annotations, module
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from json_values import ANYTHING, admitted, changed
from libraries import library
from minihost import ToolError, Worker

pytestmark = pytest.mark.native


jsonschema = library("jsonschema")
for name in ("annotated_types", "typing_extensions"):
    library(name)

REPRODUCIBLE = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}

#: With the variable, for a longer look, others each time, and more of them.
MANY = int(os.environ.get("SNAKEPIT_TEST_ANNOTATIONS", "0"))
TOOLS, VALUES = (MANY, 100) if MANY else (80, 25)

#: What pydantic says of a whole number that is written as a float beyond 64 bits.
TOO_LONG = "exceeded maximum size"

FORMATS = jsonschema.FormatChecker()
for format, kind in {
    "fraction": fractions.Fraction,
    "ipv4-network": ipaddress.IPv4Network,
    "ipv6-network": ipaddress.IPv6Network,
}.items():
    FORMATS.checks(format, raises=Exception)(lambda value, kind=kind: bool(kind(value)) or True)


def generated():
    """Return annotations, the same each time, always with those of libraries."""
    found = [(leaf, []) for leaf in LEAVES if "np." in leaf or "collections." in leaf]

    @settings(max_examples=TOOLS, derandomize=not MANY, phases=[Phase.generate], **REPRODUCIBLE)
    @given(annotations())
    def collect(annotation):
        if annotation not in found:
            found.append(annotation)

    collect()
    return found


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """A worker with a tool for each annotation."""
    folder = tmp_path_factory.mktemp("hints")
    text = module(generated())
    (folder / "tools.py").write_text(text)
    with Worker("tools.py", cwd=str(folder)) as worker:
        yield worker


def sent(value):
    """Return a value as the host reads JSON: `{"$bytes": "<base64>"}` are bytes."""
    if isinstance(value, list):
        return [sent(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["$bytes"] and isinstance(value["$bytes"], str):
        try:
            return base64.b64decode(value["$bytes"], validate=True)
        except ValueError:
            pass
    return {key: sent(item) for key, item in value.items()}


def accepts(worker, tool, value):
    """Return whether the worker accepts the value; any other error is a failure."""
    try:
        worker.call(tool, x=sent(value))
    except ToolError as error:
        assert error.code in ("SP2002", "SP2003", "SP2004"), (error.code, str(error))
        assert error.fields["path"].startswith("x"), error.fields
        return str(error)
    return True


def is_ragged(value):
    """Return whether some list holds lists of other shapes, which are no array."""
    if isinstance(value, dict):
        return any(is_ragged(item) for item in value.values())
    return isinstance(value, list) and (
        len({shape(item) for item in value}) > 1 or any(is_ragged(item) for item in value)
    )


def shape(value):
    """Return the lengths of nested lists, those of the first ones."""
    if not isinstance(value, list):
        return ()
    return (len(value), *(shape(value[0]) if value else ()))


def disagreement(worker, spec):
    """Return the difference between the schema and the checks of a tool, or `None`."""
    schema = json.loads(spec["parameters_schema"])
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    defs = schema.get("$defs", {})
    # A model of pydantic takes more than its schema says.
    lax = any("title" in part for part in defs.values())
    arrays = any("ndarray" in name for name in defs)
    values = admitted(schema["properties"]["x"], defs)

    @settings(max_examples=VALUES, derandomize=not MANY, **REPRODUCIBLE)
    @given(st.one_of(values, values, changed(values), ANYTHING))
    def agree(value):
        wanted = validator.is_valid({"x": value})
        got = accepts(worker, spec["name"], value)
        # Bytes are no map, also where JSON writes them as one.
        marked = "$bytes" in repr(value) and got is not True and "got bytes" in got
        # JSON Schema has no words for what makes no array, and for keys that are equal numbers.
        reasons = ("unequal lengths", "more than 64", "two of its keys are the same", TOO_LONG)
        no_array = wanted and any(reason in str(got) for reason in reasons)
        # A union names its kinds or what is wrong with one of them, not why this is no array.
        no_array = no_array or (wanted and (arrays or "ndarray" in str(got)) and is_ragged(value))
        if marked or no_array or (not wanted and lax):
            return
        said = f"the schema says {wanted}, the check {got}"
        assert (got is True) == wanted, f"{spec['signature']}\n{value!r}\n{said}\n{schema}"

    try:
        agree()
    except AssertionError as error:
        return str(error)
    return None


def test_schemas_and_checks_agree(worker):
    found = [disagreement(worker, spec) for spec in worker.described["tools"]]
    found = [text for text in found if text is not None]
    assert not found, f"{len(found)} of {len(worker.described['tools'])}\n" + "\n\n".join(found)
