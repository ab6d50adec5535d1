"""Stands in for the worker runtime, and is hostile: `PYTHON_MODE` says in which way."""
