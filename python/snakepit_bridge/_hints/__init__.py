"""Annotations of tools' parameters and results: specs that the runtime checks, and JSON Schemas."""
