"""Calls as they run in Python: event loops, interrupts, and exceptions as data."""
