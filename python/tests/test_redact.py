"""What is taken for a secret; the cases are those of the host, too."""

import json
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


@pytest.mark.parametrize("text", CASES["kept"])
def test_other_texts_stay(text):
    assert redact_secrets(text) == text


def test_colours_around_a_secret_stay():
    text = "\x1b[1mpassword\x1b[0m=\x1b[31mhun\x1b[32mter2x\x1b[0m !"
    assert redact_secrets(text) == "\x1b[1mpassword\x1b[0m=\x1b[31m<redacted>\x1b[0m !"


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
