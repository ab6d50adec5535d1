"""Two adapters with health checks whose outcome the test sets."""

import time

from snakepit_bridge import BaseAdapter, tool

_state = "None"
_inside = 0
_most = 0


def _say():
    if _state == "raise":
        raise ValueError("not well")
    return {"False": False, "0": 0}.get(_state)


class Plain(BaseAdapter):
    """An adapter whose check is a plain method, and whose calls run one at a time."""

    @tool
    def set_state(self, state: str):
        global _state
        _state = state

    @tool
    def overlap(self):
        """Return the largest number of concurrent calls."""
        return self._enter()

    def _enter(self):
        global _inside, _most
        _inside += 1
        _most = max(_most, _inside)
        time.sleep(0.02)  # the tool sleeps: a call that overlaps would come now
        _inside -= 1
        return _most

    def health(self):
        if _state == "busy":
            assert self._enter() == 1
        return _say()


class Async(BaseAdapter):
    """An adapter whose check is a coroutine."""

    @tool
    def other(self):
        pass

    async def health(self):
        return _say()
