"""Values that cannot be sent, and secrets in texts."""

import array
import collections
import datetime
import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakepit_bridge import _errors
from snakepit_bridge._graceful import (
    REPR_KEY,
    TYPE_KEY,
    UNSERIALIZABLE_KEY,
    Policy,
    convert,
    is_marker,
    marker,
)
from snakepit_bridge._redact import MASK, redact_secrets


class Plain:
    def __repr__(self):
        return "Plain(api_key='sk-abcdefgh12345')"


class Methods:
    """Has the named conversions, each giving its own name."""

    def __init__(self, **results):
        self.__dict__.update({name: lambda value=value: value for name, value in results.items()})


def test_conversions_are_tried_in_order():
    names = ["model_dump", "to_dict", "_asdict"]
    for first in range(3):
        obj = Methods(**{name: {"by": name} for name in names[first:]}, tolist=[1])
        assert convert(obj) == {"by": names[first]}
    assert convert(Methods(tolist=[1, 2], isoformat="t")) == [1, 2]
    assert convert(Methods(isoformat="2024")) == "2024"
    assert convert(array.array("i", [1, 2])) == [1, 2]
    assert convert(datetime.date(2024, 5, 6)) == "2024-05-06"
    Point = collections.namedtuple("Point", "x y")
    assert convert(Point(1, 2)) == {"x": 1, "y": 2}


def test_what_a_conversion_must_not_give():
    assert is_marker(convert(Methods(to_dict=[1], isoformat=5)))
    assert is_marker(convert(Methods()))
    obj = Methods()
    obj.tolist = lambda: obj
    assert is_marker(convert(obj))
    # A class has the methods of its instances.
    assert convert(datetime.date)[TYPE_KEY] == "builtins.type"


def test_a_conversion_that_fails_is_none():
    def bad():
        raise RuntimeError("no")

    obj = Methods()
    obj.model_dump = obj.tolist = bad
    obj.to_dict = lambda: {"ok": 1}
    assert convert(obj) == {"ok": 1}

    class Hostile:
        def __getattr__(self, name):
            raise RuntimeError("no")

    assert is_marker(convert(Hostile()))


@pytest.mark.parametrize(
    "size", [{"shape": (100, 11)}, {"size": 1001}, {"nnz": 1001}, {"shape": ("x",)}]
)
def test_arrays_that_are_too_large_are_not_turned_into_lists(size):
    obj = Methods(tolist=[1])
    obj.__dict__.update(size)
    policy = Policy({"SNAKEPIT_TOLIST_MAX_ELEMENTS": "1000"})
    assert is_marker(convert(obj, policy))
    assert is_marker(convert(array.array("b", bytes(1001)), policy))
    assert convert(array.array("b", bytes(2)), policy) == [0, 0]


def test_numpy_is_converted():
    numpy = pytest.importorskip("numpy")
    assert convert(numpy.float32(1.5)) == 1.5
    assert convert(numpy.arange(4).reshape(2, 2)) == [[0, 1], [2, 3]]
    assert is_marker(convert(numpy.zeros(5), Policy({"SNAKEPIT_TOLIST_MAX_ELEMENTS": "4"})))


def test_markers_tell_the_type_and_what_is_asked_for():
    name = f"{__name__}.Plain"
    assert marker(Plain(), Policy({})) == {UNSERIALIZABLE_KEY: True, TYPE_KEY: name}

    def of(detail, **env):
        return marker(Plain(), Policy({"SNAKEPIT_UNSERIALIZABLE_DETAIL": detail, **env}))[REPR_KEY]

    assert of("type") == f"<{name}>"
    assert of("repr_truncated") == "Plain(api_key='sk-abcdefgh12345')"
    assert of("repr_redacted_truncated") == f"Plain(api_key='{MASK}')"
    assert of("repr_truncated", SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN="6") == "Plain…"
    # Redacted before it is cut: half a secret would not be recognised.
    cut = of("repr_redacted_truncated", SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN="26")
    assert "sk-" not in cut and len(cut) == 26
    assert REPR_KEY not in marker(Plain(), Policy({"SNAKEPIT_UNSERIALIZABLE_DETAIL": "bogus"}))
    assert not is_marker({}) and not is_marker(5) and not is_marker({UNSERIALIZABLE_KEY: 1})


def test_settings_that_cannot_be_understood_count_as_not_set():
    policy = Policy({"SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN": "x"})
    assert (policy.detail, policy.max_repr, policy.max_elements) == ("none", 500, 1_000_000)
    assert Policy({"SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN": "99999"}).max_repr == 2000
    assert Policy({"SNAKEPIT_UNSERIALIZABLE_REPR_MAXLEN": "-1"}).max_repr == 0


def test_a_broken_repr_breaks_no_marker(monkeypatch):
    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    class Surrogate:
        def __repr__(self):
            return "\ud800"

    monkeypatch.setitem(os.environ, "SNAKEPIT_UNSERIALIZABLE_DETAIL", "repr_truncated")
    assert convert(Broken())[REPR_KEY] == "<no repr: RuntimeError>"
    convert(Surrogate())[REPR_KEY].encode()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ('{"Authorization": "Bearer secret123"}', "secret123"),
        ("got bearer eyJhbGciOi.J9 there", "eyJhbGciOi.J9"),
        ("key sk-proj-abcd1234efgh failed", "sk-proj-abcd1234efgh"),
        ("cloned with ghp_0123456789abcdefghijABCDEFGHIJ", "ghp_0123"),
        ("glpat-0123456789_abcdefgh, used", "glpat-0123"),
        ("as hf_0123456789abcdefghijABCDE", "hf_0123"),
        ("xoxb-0123456789-abcdef posts", "xoxb-0123"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSF"),
        ("got eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ there", "eyJzdWIi"),
        ('{"api_key": "abc"}', "abc"),
        ("{'password': 'p w d'}", "p w d"),
        ('{\\"token\\": \\"t0k\\"}', "t0k"),
        ("Client(api_key='xyz')", "xyz"),
        ("AWS_SECRET_ACCESS_KEY='wJalr/XU'", "wJalr/XU"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0\n-----END PRIVATE KEY-----",
            "MIIEvgIBADANBgkqhkiG9w0",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENC\n\nMIIEvgIBADANBgkq\n-----END RSA",
            "MIIEvgIBADANBgkq",
        ),
        ("MIIEvgIBADANBgkqhkiG9w0\nbq1Z\n-----END PRIVATE KEY-----", "MIIEvgIBADANBgkqhkiG9w0"),
        ("Command '['curl', '-u', 'alice:hunter2']' returned", "hunter2"),
        ("$ curl -u alice:hunter2 https://x", "hunter2"),
        ("curl --user 'alice:hunter2'", "hunter2"),
        ('client_secret = "hush"', "hush"),
        ("OPENAI_API_KEY=abc123def", "abc123def"),
        ("password: hunter2x", "hunter2x"),
        ("postgres://user:pa55@db/x", "pa55"),
        ("secret='unclosed", "unclosed"),
    ],
)
def test_secrets_are_masked(text, secret):
    got = redact_secrets(text)
    assert secret not in got and MASK in got


@pytest.mark.parametrize(
    "text",
    [
        "unexpected token: '}'",
        "keyword argument 'token' is missing",
        "    return login(password=password, token=token)",
        "the secret of the sauce",
        "run it as -u root, at 12:30",
        "pass --user NAME: it is needed",
        "see https://example.org/a:b@c",
        "tokens: 15 of 20",
        "no key 'x' in {'a': 1}",
        "",
    ],
)
def test_other_texts_stay(text):
    assert redact_secrets(text) == text


@given(st.text(alphabet="a_-.:/@'\"=[ sktokenbearerpassword1", max_size=300))
def test_masking_twice_changes_nothing_more(text):
    once = redact_secrets(text)
    assert redact_secrets(once).count(MASK) >= once.count(MASK)


@pytest.mark.parametrize(
    "part",
    ["a_", "a-", "a.", "token", "token=", "a://", "bearer ", "'", "sk-", "secret: ", "token='"],
)
def test_masking_takes_linear_time(part):
    def cost(size):
        text = "password" + part * size
        began = time.process_time()
        redact_secrets(text)
        return time.process_time() - began

    cost(1000)
    small = min(cost(2000) for _ in range(3))
    large = min(cost(16000) for _ in range(3))
    # Eight times the text: quadratic would be 64 times as much.
    assert large < 30 * small + 0.02


def test_errors_of_tools_carry_no_secrets():
    def call():
        cause = KeyError("token='abcdef'")
        raise RuntimeError("login failed: Bearer abcdefghij") from cause

    try:
        call()
    except RuntimeError as error:
        error.__notes__ = ["api_key='xyz123'"]
        got = json.dumps(_errors.describe_exception(error))
    for secret in ("abcdefghij", "xyz123", "'abcdef'"):
        assert secret not in got
    assert got.count(MASK) >= 4
