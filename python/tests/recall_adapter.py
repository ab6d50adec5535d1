"""Tools for calls that are taken back."""

from pathlib import Path

from snakepit_bridge import Context, tool


@tool
def wait(path: str) -> str:
    """Wait until the pipe is opened."""
    Path(path + ".begun").touch()
    with open(path):
        return "open"


@tool
def note(path: str, text: str) -> str:
    with open(path, "a") as file:
        file.write(text)
    return text


@tool
def asks(ctx: Context):
    return ctx._native._request(40, "number", None, None)
