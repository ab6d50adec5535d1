"""JSON values that a schema accepts, and others that it may not."""

import string

from hypothesis import strategies as st

EDGES = [
    None, True, False, 0, 1, -1, 2, 3, 7, 10, 2**53, 2**63 - 1, -(2**63), 1.0, 0.5, 0.1, 0.3,
    -2.0, 1e300, "", "a", "ab", "abc", "AB", "x", "true", "null", "1", "-1", "01", "1.0", "-0",
    "1e3", "red", "Ünï", "aGk=", "aGk", "ab==", "2020-02-29", "2021-02-29", "20200229",
    "2020-02-29T12:00", "2020-02-29 12:00:00.5Z", "2020-02-29T24:00:00",
    "2020-02-29T12:00:00.1234567+02:00", "2020-02-29T12:00:00.1234560-23:59", "2020-02-29T12",
    "2020-02-29 12:00:00.123456789", [1, 2], [0.5, 1e39], [[1, 2], [3, 4]], [[[1, 2]]],
    "12:00", "12", "12:00:60", "12:30:15.250+01:00", "P1D", "PT1.5S", "P1Y", "-P1W", "PT1,5H",
    "P1DT", "PT0.0000001S", "12345678-1234-5678-1234-567812345678",
    "12345678123456781234567812345678", "{12345678-1234-5678-1234-567812345678}", "1.50",
    "+.5e-3", "1_000", " 1", "1e99999", "1/3", "1/0", "a/b", "127.0.0.1", "127.0.0.256", "::1",
    "fe80::1%eth0", "10.0.0.0/8", "10.0.0.1/8", "a\n", "2020-02-29\n", "\u0661", [], {}, [1],
    [1, 1], [True], {"a": 1}, {"1": 1}, [[]], [None], {"kind": "cat"},
    {"kind": "dog", "name": "x"}, {"kind": 1}, {"value": 1}, {"value": 1.0, "left": None},
]  # fmt: skip

SCALARS = st.one_of(
    st.sampled_from(EDGES),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-3, 12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(string.ascii_letters + string.digits + "-:/.%é", max_size=8),
)
KEYS = st.one_of(
    st.sampled_from([edge for edge in EDGES if isinstance(edge, str)]),
    st.integers(-5, 5).map(str),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)


def admitted(schema, defs, depth=6):
    """Generate values most of which the schema accepts; the validator decides."""
    if schema is True or schema == {} or depth == 0:
        return ANYTHING
    if "$ref" in schema:
        return admitted(defs[schema["$ref"].removeprefix("#/$defs/")], defs, depth - 1)
    if "enum" in schema:
        return st.sampled_from(schema["enum"] or [None])
    if "const" in schema:
        return st.just(schema["const"])
    if "anyOf" in schema and "type" not in schema:
        return st.one_of([admitted(part, defs, depth) for part in schema["anyOf"]])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return st.one_of([admitted({**schema, "type": kind}, defs, depth) for kind in kinds])
    make = {"array": _lists, "object": _objects}.get(kinds)
    if make is not None:
        return make(schema, defs, depth)
    if kinds == "integer":
        low, high = schema.get("minimum", -5), schema.get("maximum", schema.get("minimum", 9) + 9)
        whole = st.integers(max(int(low) - 1, -(2**63)), min(int(high) + 1, 2**64 - 1))
        return st.one_of(whole, whole.map(float), st.integers(-(2**63), 2**64 - 1))
    if kinds == "number":
        return st.one_of(
            st.integers(-5, 9), st.floats(-2, 12), st.sampled_from([0.1, 0.3, 0.7, 1.1, 3.0, 1e300])
        )
    if kinds == "string":
        return _texts(schema)
    return {"null": st.none(), "boolean": st.booleans()}.get(kinds, ANYTHING)


def _texts(schema):
    plain = st.one_of(st.text(max_size=4), st.sampled_from([e for e in EDGES if type(e) is str]))
    if "pattern" in schema:
        return st.one_of(st.from_regex(schema["pattern"]), plain)
    return plain


def _lists(schema, defs, depth):
    first = [admitted(part, defs, depth - 1) for part in schema.get("prefixItems", [])]
    items = admitted(schema.get("items", True), defs, depth - 1)
    rest = st.lists(items, max_size=min(schema.get("maxItems", 3), 3))
    if not first:
        return rest
    if schema.get("maxItems") == len(first):
        return st.tuples(*first).map(list)
    return st.tuples(st.tuples(*first), rest).map(lambda parts: [*parts[0], *parts[1]])


def _objects(schema, defs, depth):
    fields = {k: admitted(v, defs, depth - 1) for k, v in schema.get("properties", {}).items()}
    required = {k: fields.pop(k) for k in schema.get("required", []) if k in fields}
    known = st.fixed_dictionaries(required, optional=fields)
    others = schema.get("additionalProperties", False)
    if others is False:
        return known
    names = schema.get("propertyNames", {})
    if "enum" in names:
        keys = st.sampled_from(names["enum"] or [""])
    else:
        keys = admitted({"type": "string", **names}, defs, depth - 1).filter(
            lambda k: type(k) is str
        )
    more = st.dictionaries(keys, admitted(others, defs, depth - 1), max_size=3)
    return st.tuples(known, more).map(lambda parts: {**parts[1], **parts[0]})


@st.composite
def changed(draw, values):
    """Return a value with one part replaced, left out or added."""
    value = draw(values)
    for _ in range(draw(st.integers(0, 3))):
        if isinstance(value, (list, dict)) and value and draw(st.booleans()):
            break
    return _changed(draw, value, 4)


def _changed(draw, value, depth):
    if (
        not isinstance(value, (list, dict))
        or not value
        or depth == 0
        or draw(st.integers(0, 3)) == 0
    ):
        return draw(ANYTHING)
    if isinstance(value, list):
        at = draw(st.integers(0, len(value) - 1))
        how = draw(st.sampled_from(["change", "change", "drop", "add"]))
        if how == "drop":
            return value[:at] + value[at + 1 :]
        if how == "add":
            return [*value, draw(st.sampled_from([*value, None]))]
        return [*value[:at], _changed(draw, value[at], depth - 1), *value[at + 1 :]]
    key = draw(st.sampled_from(sorted(value)))
    how = draw(st.sampled_from(["change", "change", "drop", "add"]))
    if how == "drop":
        return {k: v for k, v in value.items() if k != key}
    if how == "add":
        return {**value, draw(KEYS): draw(SCALARS)}
    return {**value, key: _changed(draw, value[key], depth - 1)}
