"""Tools that report spans, measurements and log records of their own."""

import logging

from snakepit_bridge import SessionContext, telemetry, tool

log = logging.getLogger("shop")
items = telemetry.counter("shop.items", unit="{item}", description="Items that were priced")


@tool
def total(cart: list[str], context: SessionContext) -> float:
    """Adds the prices that the host knows."""
    price = context.host_tools["price"]
    with telemetry.span("price the cart", items=len(cart)):
        log.info("a cart of %d items", len(cart))
        if not all(cart):
            raise ValueError("an item has no name")
        items.add(len(cart), kind="food")
        return sum(price(name=name) for name in cart)
