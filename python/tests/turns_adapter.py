"""Tools that are not declared thread-safe: one call at a time for each adapter or module."""

import threading
import time
from pathlib import Path

from snakepit_bridge import BaseAdapter, Context, tool

_here = threading.Lock()


def _alone():
    if not _here.acquire(blocking=False):
        return False
    time.sleep(0.02)  # the tool sleeps: a call that overlaps would come now
    _here.release()
    return True


@tool
def alone():
    return _alone()


@tool
def items():
    for _ in range(5):
        yield _alone()


@tool
def holds(begun: str, end: str, ctx: Context):
    Path(begun).write_text("begun")
    return Path(end).read_text()


@tool
def says_so():
    """Declare that it may run beside the others."""
    return "beside"


says_so.__thread_safe__ = True


class Other(BaseAdapter):
    @tool
    def elsewhere(self):
        return self.session_context.session_id
