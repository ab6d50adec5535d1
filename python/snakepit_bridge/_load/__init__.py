"""Loading of adapters: from a reference such as `tools.py:mean` to a catalog of tools."""
