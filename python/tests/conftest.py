"""Fixtures that all Python tests share."""

import importlib.util
import sys
import textwrap

import pytest
from minihost import PACKAGE_DIR

sys.path.insert(0, str(PACKAGE_DIR))

HAS_NATIVE = importlib.util.find_spec("snakepit_bridge._native") is not None


def pytest_collection_modifyitems(items):
    skip = pytest.mark.skip(reason="the extension is not built: run `cargo xtask python`")
    for item in items:
        if not HAS_NATIVE and item.get_closest_marker("native"):
            item.add_marker(skip)


def pytest_configure(config):
    config.addinivalue_line("markers", "native: needs the compiled extension")


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Write Python files into an empty current directory; forget their modules afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(text, name="adapter_under_test.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return name

    yield write
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
