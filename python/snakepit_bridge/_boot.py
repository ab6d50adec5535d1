"""The only module that a worker process imports by name: serves until the host ends the worker."""

import sys

from snakepit_bridge._load import loader
from snakepit_bridge._observe import hooks

try:
    from snakepit_bridge import _native
except ImportError as error:
    from snakepit_bridge._missing import explain

    raise ImportError(explain(), name="snakepit_bridge._native") from error

if sys.path[-1:] == [""]:
    # Move the working directory, which the host has put after the package, to its usual place.
    sys.path.insert(0, sys.path.pop())
raise SystemExit(_native.run(loader.guarded(hooks.watched(loader.load, _native))))
