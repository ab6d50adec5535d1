"""An adapter whose health is what the file next to its state says."""

import os
import time
from pathlib import Path

from snakepit_bridge import BaseAdapter, tool


class Model(BaseAdapter):
    """Each worker has a file of its own, named by its process id, in the directory `HEALTH`."""

    def health(self):
        path = Path(os.environ["HEALTH"], str(os.getpid()))
        say = path.read_text() if path.exists() else "well"
        if say == "hang":
            time.sleep(3600)  # the tool sleeps
        if say == "swallow":
            while True:
                try:
                    time.sleep(3600)  # the tool sleeps
                except BaseException:
                    pass
        if say == "raise":
            raise RuntimeError("the card has fallen off the bus")
        return say != "unwell"

    @tool
    def pid(self) -> int:
        return os.getpid()
