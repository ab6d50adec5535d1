"""What counts as a secret; the cases are those of the host, too."""

import json
import pprint
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakepit_bridge._redact import MASK, redact_secrets

CASES = json.loads((Path(__file__).parent / "redaction.json").read_text())


@pytest.mark.parametrize(("text", "secret"), CASES["masked"])
def test_secrets_are_masked(text, secret):
    got = redact_secrets(text)
    assert secret not in got and MASK in got
    assert redact_secrets(got) == got


@pytest.mark.parametrize(("text", "expected"), CASES["exact"])
def test_nothing_else_is_masked_with_them(text, expected):
    assert redact_secrets(text) == expected
    assert redact_secrets(expected) == expected


@pytest.mark.parametrize("text", CASES["kept"])
def test_other_texts_stay(text):
    assert redact_secrets(text) == text


def test_colours_around_a_secret_stay():
    text = "the \x1b[1mpassword\x1b[0m=\x1b[31mhun\x1b[32mter2x\x1b[0m !"
    assert redact_secrets(text) == "the \x1b[1mpassword\x1b[0m=\x1b[31m<redacted>\x1b[0m !"


NAMES = ("password", "DB_PASSWORD", "api_key", "client_secret", "PGPASSWORD", "auth_token")
VALUES = st.from_regex(r"\A[A-Za-z0-9][ -~\u00fc]{4,20}[0-9]\Z")


def _leaks(text, value):
    """Whether five characters of the value are left in the masked text."""
    masked, around = redact_secrets(text), text.replace(value, "")
    parts = [value[at : at + 5] for at in range(len(value) - 4)]
    telling = [part for part in parts if part not in around and any(map(str.isalnum, part))]
    return [part for part in telling if part in masked and part not in MASK]


@given(st.sampled_from(NAMES), VALUES, st.sampled_from(["", " ", "\t", "  "]))
def test_a_secret_never_appears(name, value, blanks):
    quoted = json.dumps(value, ensure_ascii=False)
    text = f"{{{json.dumps(name)}:{blanks}{quoted}}}"
    assert not _leaks(text, quoted[1:-1])
    twice = json.dumps(quoted[1:-1], ensure_ascii=False)[1:-1]
    assert not _leaks(json.dumps(text, ensure_ascii=False), twice)
    shown = repr(value)
    for before, after in (("", ""), ("call(", ", n=1)"), ("{'a': 1, ", "}")):
        for sign in ("=", ":", "=>"):
            written = f"{before}{name}{blanks}{sign}{blanks}{shown}{after}"
            assert not _leaks(written, shown[1:-1])
    assert not _leaks(f"x = {{'{name}': {value.encode()!r}}}", repr(value.encode())[2:-1])
    assert not _leaks(pprint.pformat({name: f"{value} " * 9}, width=40), value)


@given(st.text(alphabet="a_-.:/@'\"=[ \x1b\u200bm;?&,(sktokenbearerpasswordcookie1", max_size=300))
def test_masking_twice_changes_nothing_more(text):
    once = redact_secrets(text)
    assert redact_secrets(once).count(MASK) >= once.count(MASK)


@given(
    st.from_regex(r"\A(password|token|user)[=:]? ?['\"]?[a-z0-9]{0,12}['\"]? [a-z]{0,5}\Z"),
    st.lists(st.integers(0, 40), max_size=5),
    st.sampled_from(["\u200b", "\ufeff"]),
)
def test_characters_without_width_change_nothing(text, places, what):
    dressed = text
    for place in places:
        dressed = dressed[:place] + what + dressed[place:]
    assert (MASK in redact_secrets(dressed)) == (MASK in redact_secrets(text))


@pytest.mark.parametrize(
    "part",
    [
        *("a_", "a-", "a.", "token", "token=", "a://", "bearer ", "'", "sk-", "secret: "),
        *("token='", "authorization: ", "authorization:aws", "cookie: ", "cookie=a", "cookie='"),
        *("\x1b[", "\x1b]"),
        *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "\u200b", "--password "),
        *("eyJaaaaaaaaaa-", "eyJaaaaaaaaaa.", "SG.aaaaaaaaaaaaaaaaaa", "1:AA", "AKIA", "a=", "b'"),
        *("token='a'b", "'password=x1y2 a=b ", "bad token: '", "pad_token='", "token=${"),
        *("password:", "password: |\n", "password\n", "password='x\n", "password='''"),
        *('password=\\"', "password=%22", "password=a,", "password=${,", "a://b:", "a://b:c@"),
        *("://:", "<password>", '<a "password"', "&lt;password>", "&lt;password&gt;"),
        *("token%3Da", "%3A%2F%2Fa%3A", "basic aaaa", "cookies={", "<Cookie a=", "Cookie(value='"),
        *("\\", '"', "    ", "password,\n value=", "-u a:"),
    ],
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
