"""Every feature in a small tool: `snakepit call snakepit_bridge.adapters.showcase add a=1 b=2`.

One file for each subject; `ShowcaseAdapter` joins them.
"""

from snakepit_bridge import BaseAdapter

from .arrays import Arrays
from .basic import Basic
from .concurrent import Concurrent
from .host import Host
from .ml import Learning
from .session import Session
from .streaming import Streaming


class ShowcaseAdapter(Basic, Session, Host, Streaming, Arrays, Concurrent, Learning, BaseAdapter):
    """The tools of all subjects."""

    def initialize(self) -> None:
        """Start the counters of this worker."""
        self.begin()
