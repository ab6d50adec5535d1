"""The package's list of unsafe libraries agrees with the host's."""

import json

import pytest
from minihost import PACKAGE_DIR

from snakepit_bridge._threads.unsafe_libraries import UNSAFE

KNOWN = PACKAGE_DIR.parent / "crates/snakepit-profiles/src/compatibility.json"


def test_both_lists_name_the_same_libraries():
    if not KNOWN.exists():
        pytest.skip("there is no checkout of the host beside the package")
    libraries = json.loads(KNOWN.read_text())["libraries"]
    unsafe = {
        item["import"] for item in libraries if "unsafe" in (item["gil"], item["free_threaded"])
    }
    assert sorted(UNSAFE) == sorted(unsafe)
