"""Set-up of Python's `logging`, under the names of the original library.

A worker needs no set-up: records reach the host with their level, logger, call and trace. The
functions here set levels, and a format for programs that are not workers.
"""

import logging
import sys
from os import environ

from ._observe.correlation import get_correlation_id

TYPE_CHECKING = False

__all__ = ["configure_logging", "get_logger"]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "none": logging.CRITICAL + 1,
}
_FORMAT = (
    "%(asctime)s - [%(threadName)s] - %(name)s - %(levelname)s "
    "- [corr=%(correlation_id)s] %(message)s"
)


class _Formatter(logging.Formatter):
    """A formatter that fills in the correlation id if a record has none."""

    def format(self, record: logging.LogRecord) -> str:
        if not getattr(record, "correlation_id", None):
            record.correlation_id = get_correlation_id("-")
        return super().format(record)


def configure_logging(force: bool = False) -> None:
    """Set level and format by `SNAKEPIT_LOG_LEVEL`: debug, info, warning, error (default) or none.

    Does nothing if logging is set up already, unless `force` is true.
    """
    word = environ.get("SNAKEPIT_LOG_LEVEL", "error").strip().lower()
    logging.disable(logging.CRITICAL if word == "none" else logging.NOTSET)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(_FORMAT))
    logging.basicConfig(level=_LEVELS.get(word, logging.ERROR), handlers=[handler], force=force)
    for noisy in ("grpc", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def get_logger(name: str) -> logging.Logger:
    """Return a logger below `snakepit`: `get_logger("worker")` is that of `snakepit.worker`."""
    if name == "snakepit" or name.startswith("snakepit."):
        return logging.getLogger(name)
    if name.startswith("snakepit_bridge."):
        return logging.getLogger(f"snakepit.bridge.{name[len('snakepit_bridge.') :]}")
    return logging.getLogger(f"snakepit.{name}")
