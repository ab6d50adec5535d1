"""The error for an interpreter without the compiled worker runtime."""

import os
import sys
from _imp import extension_suffixes


def explain() -> str:
    """Return the code, what is missing, what is there instead, and one thing to do."""
    here = os.path.dirname(os.path.abspath(__file__))
    there = sorted(n for n in os.listdir(here) if n.startswith("_native.") and n.endswith(".so"))
    free = "t" in getattr(sys, "abiflags", "")
    kind = "free-threaded " if free else ""
    version = "{}.{}".format(*sys.version_info)
    wanted = f"_native{extension_suffixes()[0]}" if free else "_native.abi3.so"
    if wanted in there:
        return f"SP5006: {wanted} exists, but {kind}CPython {version} cannot load it"
    build = f"cargo xtask python --free-threaded {sys.executable}" if free else "cargo xtask python"
    return (
        f"SP5006: there is no snakepit_bridge.{wanted} for {kind}CPython {version}, "
        f"only {', '.join(there) or 'the Python files'}; run `{build}` in a checkout, "
        f"or `{sys.executable} -m pip install snakepit-bridge`"
    )
