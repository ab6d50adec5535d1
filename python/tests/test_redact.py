"""Texts without what looks like a secret; the rules are tested with the crate `snakepit-redact`."""

from hypothesis import given
from hypothesis import strategies as st

from snakepit_bridge._redact import MASK, redact_secrets


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
