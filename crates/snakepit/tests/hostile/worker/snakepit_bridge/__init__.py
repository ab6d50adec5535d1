"""A hostile replacement of the worker runtime; `PYTHON_MODE` selects the attack."""
