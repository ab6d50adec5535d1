"""Where events can go: to the host, to a stream that a program reads, or to standard error."""

from .base import TelemetryBackend

__all__ = ["TelemetryBackend"]
