"""Errors of the runtime itself show no secrets: source lines, signatures, places in values."""

import pytest
from minihost import ToolError, Worker

pytestmark = pytest.mark.native

SECRET = "Kx7vQm2pLr9tZw4B"


def test_a_source_line_that_python_cannot_read(tmp_path):
    (tmp_path / "tools.py").write_text(f'password = "{SECRET}" 5\n')
    unread = Worker("tools.py", cwd=str(tmp_path), describe=False)
    with unread as worker, pytest.raises(ToolError) as caught:
        worker.describe()
    fields = caught.value.fields
    assert fields["line"] == 1 and fields["source"].startswith("password = ")
    assert SECRET not in str(fields)


def test_a_default_in_a_signature_and_a_key_in_a_place(tmp_path):
    (tmp_path / "tools.py").write_text(
        f"""\
from snakepit_bridge import tool

@tool
def connect(n: int, password: str = "{SECRET}", url: str = "postgres://bob:{SECRET}@h/x") -> int:
    return n

@tool
def told():
    return {{"password={SECRET}": object()}}
"""
    )
    with Worker("tools.py", cwd=str(tmp_path)) as worker:
        with pytest.raises(ToolError) as caught:
            worker.call("connect", n="oops")
        assert caught.value.fields["source"].startswith("def connect(n: int, password: str = ")
        assert SECRET not in str(caught.value.fields)
        with pytest.raises(ToolError) as caught:
            worker.call("told")
        assert caught.value.code == "SP2007" and SECRET not in str(caught.value.fields)
