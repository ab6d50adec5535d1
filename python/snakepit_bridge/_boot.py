"""The first and only module a worker process imports by name: it serves until told to stop."""

from snakepit_bridge import _hooks, _loader

try:
    from snakepit_bridge import _native
except ImportError as error:
    from snakepit_bridge._missing import explain

    raise ImportError(explain(), name="snakepit_bridge._native") from error

raise SystemExit(_native.run(_hooks.watched(_loader.load, _native)))
