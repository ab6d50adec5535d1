"""The private folders of the package import one another as ARCHITECTURE.md says."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "snakepit_bridge"
PAGE = PACKAGE.parents[1] / "ARCHITECTURE.md"


def imported(source, package):
    """The modules of the package that a source imports, as parts below the package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            base += tuple(node.module.split(".")) if node.module else ()
            yield from (base if node.module and base else (*base, name.name) for name in node.names)


def edges(files):
    found = {}
    for path, source in files:
        *package, _ = path.parts
        if not package or not package[0].startswith("_"):
            continue
        used = found.setdefault(package[0], set())
        used |= {parts[0] for parts in imported(source, tuple(package))}
        used.discard(package[0])
    return found


def folders(page):
    section = page.split("### Folders of `snakepit_bridge`")[1].split("\n### ")[0]
    rows = re.findall(r"^\| `(_\w+)` \|[^|]*\|([^|]*)\|$", section, re.M)
    return {name: set(re.findall(r"`(\w+)`", uses)) for name, uses in rows}


def own():
    files = PACKAGE.rglob("*.py")
    return edges((path.relative_to(PACKAGE), path.read_text()) for path in files)


def test_the_folders_use_one_another_as_the_table_says():
    if not PAGE.is_file():
        pytest.skip("the package is installed without the page")
    told = folders(PAGE.read_text())
    found = own()
    assert told.keys() == found.keys()
    assert {name: used & told.keys() for name, used in found.items()} == told


def test_no_folders_are_in_a_circle():
    found = own()
    left = {name: used & found.keys() for name, used in found.items()}
    while free := {name for name, used in left.items() if not used & left.keys()}:
        left = {name: used for name, used in left.items() if name not in free}
    assert left == {}


def test_every_form_of_import_is_seen():
    source = (
        "from . import near\nfrom .near import x\nfrom .. import _text\nfrom .._far import a, b\n"
        "def f():\n    from .._late.deep import c\n"
    )
    assert edges([(Path("_here/module.py"), source)]) == {"_here": {"_text", "_far", "_late"}}
