"""Texts without what looks like a secret; the rules are tested with the crate `snakepit-redact`."""

import base64
import html
import json
import shlex
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path
from xml.sax import saxutils

import pytest
from hypothesis import given, strategies as st

import snakepit_bridge
from snakepit_bridge._observe import fields
from snakepit_bridge._redact import MASK, redact_secrets
from snakepit_bridge._serve import errors


def test_secrets_are_masked():
    assert redact_secrets("password='hunter2' and more") == f"password='{MASK}' and more"


def test_a_text_without_secrets_is_the_same_object():
    text = "nothing to see h\u00e9re"
    assert redact_secrets(text) is text


def test_lone_surrogates_are_escapes_and_parts_of_secrets():
    assert redact_secrets("\udc80") == "\\udc80"
    assert redact_secrets("password='a\udc80b' \u00fc") == f"password='{MASK}' \u00fc"


@given(st.text())
def test_every_text_can_be_sent_then(text):
    redact_secrets(text).encode()


#: Together they need every pattern; the extension has fewer features of `regex` than the tests of
#: the crate.
EVERYTHING = """
Authorization: Bearer abcdef123456\nCookie: sid=abcdefgh; theme=dark\ncookies={'a': 'hushhush'}
postgres://u:hushhush@host https://0123456789abcdef0123@github.com curl -ubob:hushhush -u a:hushhush
netloc='u:hushhush@x' auth=('u', 'hushhush') Basic dXNlcjpwYXNz a%3A%2F%2Fu%3Ahushhush%40x
password='hushhush' --password hushhush9 {'passwords': ['hushhush']} client_secret%3Dhush9hush%26x
passwords:\n  - hushhush9\n  - hushhush8\nx: y
password: |\n  hushhush
<password>hushhush</password> <input type="password" value="hushhush">
&lt;pwd&gt;hushhush&lt;/pwd&gt;
IDENTIFIED BY 'hushhush' Key (api_key)=(hushhush) Duplicate entry 'hushhush' for key 'a.api_key'
sshpass -p hushhush mysql -phushhush echo hushhush | sudo -S ls
ENV DB_PASSWORD hushhush\nmachine h login u password hushhush
1 error\npassword\n  Bad [type=x, input_value='hushhush', input_type=str]
?sig=hushhush9 password: str = 'hushhush' password="hushhush" "hushhush"
\\u0022pwd\\u0022: \\u0022hushhush\\u0022
-----BEGIN PRIVATE KEY-----\nhushhushhushhush\n-----END PRIVATE KEY-----
"""


def test_every_pattern_is_known_to_the_extension():
    shown = redact_secrets(EVERYTHING)
    assert "hush" not in shown and "dXNlcjpwYXNz" not in shown


def test_a_named_value_is_masked_wherever_it_stands():
    value = 'q7Zt-9kWx \u00fc\n"end" & more'
    assert snakepit_bridge.mask_secret(value) is False, "there is no host"
    encoded = base64.b64encode(b"user:" + value.encode()).decode()
    for text in (value, repr(value), json.dumps(value), encoded):
        for shown in (redact_secrets(text), fields.text(text), errors.message(ValueError(text))):
            assert MASK in shown and "q7Zt" not in shown and encoded[12:20] not in shown
    # Each line alone, too.
    assert redact_secrets('x "end" & more') == f"x {MASK}"


def test_a_value_that_cannot_be_masked_is_refused():
    with pytest.raises(ValueError, match="less than 4 characters"):
        snakepit_bridge.mask_secret(" abc ")
    code = """
from snakepit_bridge import mask_secret
for n in range(64):
    mask_secret(f"value {n}")
try:
    mask_secret("one more")
except ValueError as error:
    print(error)
"""
    here = Path(snakepit_bridge.__file__).parent.parent
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True
    )
    assert said.stdout == (
        "a worker can mask at most 64 values of together 8192 bytes; "
        "name fewer, or recycle the worker\n"
    )


def test_bytes_are_the_text_that_they_hold():
    assert snakepit_bridge.mask_secret("bytes-\u00fc-1".encode()) is False, "there is no host"
    assert snakepit_bridge.mask_secret(bytearray(b"bytes-2-x")) is False
    assert redact_secrets("a bytes-\u00fc-1, bytes-2-x") == f"a {MASK}, {MASK}"
    with pytest.raises(ValueError, match="bytes that are not UTF-8 cannot be masked"):
        snakepit_bridge.mask_secret(b"\xff\xfe\xfd\xfc")
    with pytest.raises(TypeError, match="takes a str or bytes, not int: pass the text itself"):
        snakepit_bridge.mask_secret(12345678)  # pyright: ignore


def test_a_value_is_masked_in_each_way_to_write_it():
    value = 'it\'s "a" <b>\\c/\u00fc&9'
    snakepit_bridge.mask_secret(value)
    shell = shutil.which("bash")
    forms = [
        *(ascii(value), json.dumps(value), json.dumps(json.dumps(value)), html.escape(value)),
        *(shlex.quote(value), urllib.parse.quote(urllib.parse.quote_plus(value))),
        saxutils.escape(value, {"'": "&apos;", '"': "&#34;"}),
        json.dumps(value).replace("<", "\\u003c").replace('\\"', "\\u0022"),
    ]
    for command in ('printf %q "$1"', 'set -x; : "$1"'):
        said = subprocess.run(
            [shell or "bash", "-c", command, "x", value], capture_output=True, check=True
        )
        forms.append((said.stdout or said.stderr).decode().strip())
    for form in forms:
        shown = redact_secrets(form)
        assert MASK in shown and "<b" not in shown and "c/" not in shown and "9" not in shown, form


LONG = "".join([f"{n:03d}abcdefg" for n in range(12)])


def test_names_are_masked_before_they_are_changed_and_cut(monkeypatch):
    warned = []
    monkeypatch.setattr(fields.sink, "warn", lambda key, text: warned.append(text))
    # An attribute of this name was seen before its name was a secret.
    assert list(fields.attributes({"Hx7k!pQ2m@Zt9w": 1})) == ["Hx7k_pQ2m_Zt9w"]
    warned.clear()
    for value in ("Hx7k!pQ2m@Zt9w", LONG):
        snakepit_bridge.mask_secret(value)
    assert fields.name("a.Hx7k!pQ2m@Zt9w", "instrument") == "a.redacted"
    assert list(fields.attributes({"Hx7k!pQ2m@Zt9w": 1})) == ["redacted"]
    for before in (150, 200, 240):
        assert fields.name("x" * before + LONG, "span") == "x" * before + "redacted"[: 256 - before]
    assert fields.name("x" * 300 + LONG, "event") == "x" * 256
    assert not any(part in text for text in warned for part in ("pQ2m", "000abc"))


@pytest.mark.parametrize("value", ["Zq7Rt5Yy.Mn3Kp9Ws", LONG])
def test_hints_hold_whole_names_or_masks(value):
    hint = errors._help(ModuleNotFoundError("none", name=value))
    assert value in hint, "the host masks it"
    assert not value.partition(".")[2] or f"`{value.partition('.')[0]}`" not in hint


def test_a_variable_that_is_missing_is_masked_before_it_is_cut():
    import os

    snakepit_bridge.mask_secret(LONG)
    try:
        os.environ[f"{'x' * 150}{LONG}"]
    except KeyError as error:
        hint = errors._help(error)
    assert f"{'x' * 150}{MASK}" in hint and "000abc" not in hint


def test_beginnings_show_where_they_are_cut():
    long = f"{'x' * 195}{LONG}\nmore"
    from snakepit_bridge import _text

    assert _text.reason(ValueError(long)) == long[:199] + "…"
    assert _text.begin("abc", 3) == "abc" and _text.begin("abcd", 3) == "ab…"
