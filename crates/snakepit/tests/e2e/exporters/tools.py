"""Tools that call back into the host and emit telemetry."""

import logging

from snakepit_bridge import SessionContext, telemetry, tool

log = logging.getLogger("shop")
words_seen = telemetry.counter("shop.words", unit="{word}")


@tool
def total(words: list[str], context: SessionContext) -> int:
    """Adds the host's results for each word."""
    with telemetry.span("price the words", words=len(words)):
        log.warning("%d words", len(words))
        words_seen.add(len(words))
        return sum(context.host_tools["price"](word=word) for word in words)


@tool
def length(word: str) -> int:
    """The number of letters."""
    return len(word)
