"""The Python snippets of the guides run, and the tests that stand in them pass."""

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest
from minihost import PACKAGE_DIR

GUIDES = sorted((PACKAGE_DIR.parent / "docs" / "guides").glob("*.md"))


def snippets(text):
    """Return the Python blocks on their lines, so that errors name the guide's line."""
    out, block = [], None
    for line in text.splitlines():
        fence = line.strip()
        if block is None:
            block = [] if fence == "```python" else None
            out.append("")
        elif fence == "```":
            out.extend([*textwrap.dedent("\n".join(block)).splitlines()])
            out.append("")
            block = None
        else:
            block.append(line)
    assert block is None, "a block has no end"
    return "\n".join(out) + "\n"


def load(guide, folder, monkeypatch):
    name = f"guide_{guide.stem.replace('-', '_')}"
    path = folder / f"{name}.py"
    path.write_text(snippets(guide.read_text()))
    found = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, name, module)
    found.loader.exec_module(module)
    return module


def test_there_are_guides():
    assert "thread-safe-adapters.md" in [guide.name for guide in GUIDES]


def test_blocks_keep_their_lines():
    text = "a\n```python\nx = 1\n```\n- b\n  ```python\n  y = 2\n  ```\n```toml\nz\n```\n"
    assert snippets(text) == "\n\nx = 1\n\n\n\ny = 2\n\n\n\n\n"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_snippets_run(guide, tmp_path, monkeypatch):
    module = load(guide, tmp_path, monkeypatch)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    for test in tests:
        test()
    assert tests, "a guide shows how to test"


def test_the_adapters_of_the_guide_work(tmp_path, monkeypatch):
    [guide] = [guide for guide in GUIDES if guide.stem == "thread-safe-adapters"]
    module = load(guide, tmp_path, monkeypatch)
    model = module.started(module.Watched)
    assert model.predict_cached("k", [0.0, 1.0]) == model.predict_cached("k", [5.0, 5.0])
    assert model.count() == 1 and model.stats()["adapter"] == "Watched"
    assert module.Lazy().look_up("one") == 1
    store = module.Store()
    assert module.together(lambda: store.total([1, 2, 3])) == [6] * 16
    notes = module.started(module.Notes)
    assert module.together(lambda: notes.slow([4.0])) == [2.0] * 16 and len(notes.results) == 16
    locks = module.started(module.TwoLocks)
    module.together(lambda: locks.note("e"))
    assert (locks.count, len(locks.log)) == (16, 16)
    assert module.Shared().double(2) == 4


def test_links_of_the_guides_lead_somewhere():
    for guide in GUIDES:
        text = guide.read_text()
        anchors = {
            line.lstrip("#").strip().lower().replace(",", "").replace(" ", "-")
            for line in text.splitlines()
            if line.startswith("#")
        }
        for part in text.split("](")[1:]:
            target = part.partition(")")[0]
            if target.startswith("#"):
                assert target[1:] in anchors, target
            elif "://" not in target:
                assert (Path(guide).parent / target.partition("#")[0]).exists(), target
