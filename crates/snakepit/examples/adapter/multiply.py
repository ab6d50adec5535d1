"""Tools of a Python worker that the adapter of this example uses."""

from snakepit_bridge import tool


@tool
def multiply(a: float, b: float) -> float:
    return a * b


@tool
def secret() -> str:
    return "the adapter does not support this"
