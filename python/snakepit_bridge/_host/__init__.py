"""Requests of a tool to the host, and the host tools that it calls."""
