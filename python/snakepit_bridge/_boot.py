"""The first and only module a worker process imports by name: it serves until told to stop."""

from snakepit_bridge import _loader, _native

raise SystemExit(_native.run(_loader.load))
