"""The guide for users of the original: its Python blocks run, and its names exist."""

import importlib
import re

import pytest
from host_model import FakeContext, Host
from minihost import PACKAGE_DIR
from test_guides import snippets

from snakepit_bridge import SessionContext
from snakepit_bridge._load import loader

PAGE = (PACKAGE_DIR.parent / "docs" / "migrating.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]
NAMES = sorted(
    {name for row in ROWS for name in re.findall(r"`(snakepit_bridge(?:\.\w+)+)`", row)}
    - {"snakepit_bridge.base_adapter", "snakepit_bridge.adapters.base"}
)


def find(name):
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            value = getattr(value, part)
        return value
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_exists(name):
    assert find(name) is not None


def test_the_page_has_names_and_this_test_finds_missing_ones():
    assert len(NAMES) > 40
    with pytest.raises(AttributeError):
        find("snakepit_bridge.base_adapter.missing")


def test_the_adapter_of_the_page_is_loaded_and_works(tmp_path):
    file = tmp_path / "my_adapter.py"
    file.write_text(snippets(PAGE))
    catalog = loader.load(f"{file}:MyAdapter")
    tools = {tool.name: tool for tool in catalog.tools}
    native = FakeContext(Host())
    native.metadata = {"tenant": "a"}
    tools["count"].owner.session_context = SessionContext(native)
    assert tools["count"].function("a b c") == {"words": 3, "tenant": "a"}
    assert list(tools["progress"].function(count=2)) == [{"step": 1}, {"step": 2}]
    catalog.close()
