"""Data frames between Python and Arrow IPC streams."""
