"""The Python half of the workflow: prices come from the host, progress is kept in the session."""

import os
from collections.abc import Iterator

from snakepit_bridge import SessionContext, tool


@tool
def bill(orders: list[dict[str, object]], context: SessionContext) -> Iterator[dict[str, object]]:
    """Bills one order after the other, from the first one that is not billed yet."""
    price, report = context.host_tools["price"], context.host_tools["report"]
    first = context.get_variable("billed")
    for number, order in enumerate(orders[first:], first):
        cost = price(item=order["item"]) * order["count"]
        done = {"billed": number + 1, "total": context.get_variable("total") + cost}
        # One request sets both, so a worker that continues finds them at the same order.
        context.set_variables(done, atomic=True)
        report(text=f"{order['item']}: {cost:.2f}", pid=os.getpid())
        yield {"order": number, "cost": cost, "pid": os.getpid()}
    context.set_variable("status", "done")


@tool
def follow(until: str, context: SessionContext) -> list[dict[str, object]]:
    """Records every change of the session until its status is `until`."""
    seen = []
    with context.watch_variables() as changes:
        context.set_variable("status", "watched")
        for change in changes:
            seen.append({"seq": change.seq, "name": change.name, "value": change.value})
            if change.name == "status" and change.value == until:
                break
    return seen
