"""The first and only module a worker process imports by name: it serves until told to stop."""

import sys

from snakepit_bridge import _hooks, _loader

try:
    from snakepit_bridge import _native
except ImportError as error:
    from snakepit_bridge._missing import explain

    raise ImportError(explain(), name="snakepit_bridge._native") from error

if sys.path[-1:] == [""]:
    # The working directory, which the host has put behind the package, is where Python has it.
    sys.path.insert(0, sys.path.pop())
raise SystemExit(_native.run(_loader.guarded(_hooks.watched(_loader.load, _native))))
