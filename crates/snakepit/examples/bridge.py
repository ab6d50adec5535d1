"""Tools that clients of the gRPC service call."""

from collections.abc import Iterator

from snakepit_bridge import SessionContext, tool


@tool
def total(cart: list[str], context: SessionContext) -> float:
    """Adds the prices that the host knows."""
    price = context.host_tools["price"]
    return sum(price(name=name) for name in cart)


@tool
def count(n: int) -> Iterator[int]:
    """Yields the numbers below n."""
    yield from range(n)
