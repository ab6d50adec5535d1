"""Telemetry of the worker's Python code: spans, measurements, log records, OpenTelemetry."""
