"""Libraries that tests need."""

import importlib
import os
import sysconfig

import pytest

#: Libraries without wheels for free-threaded CPython.
WITH_GIL = {"polars"}


def library(name):
    """Import a library of the lists of requirements; only outside of CI it may be missing."""
    missing = name in WITH_GIL and sysconfig.get_config_var("Py_GIL_DISABLED")
    if os.environ.get("CI") == "true" and not missing:
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed")
