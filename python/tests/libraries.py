"""Libraries that tests need."""

import importlib
import os

import pytest


def library(name):
    """A library of the list of requirements; only outside of CI it may be missing."""
    if os.environ.get("CI") == "true":
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed")
