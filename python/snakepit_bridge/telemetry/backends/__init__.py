"""Destinations of events: the host, a stream that a program reads, or standard error."""

from .base import TelemetryBackend

__all__ = ["TelemetryBackend"]
