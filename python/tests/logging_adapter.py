"""Tools that use `logging` in all the ways of programs."""

import asyncio
import logging
import logging.config
import logging.handlers
import os
import queue
import sys
import threading

from snakepit_bridge import tool

__thread_safe__ = True


@tool
def says(logger: str, level: int, text: str) -> None:
    logging.getLogger(logger).log(level, text)


@tool
def prints() -> None:
    print("printed")
    sys.stderr.write("written\n")
    sys.stderr.flush()


@tool
def sets_level(logger: str, level: int) -> None:
    logging.getLogger(logger).setLevel(level)


@tool
def level_of(logger: str) -> int:
    return logging.getLogger(logger or None).getEffectiveLevel()


@tool
def formats() -> None:
    log = logging.getLogger("formats")
    log.warning("%s is %d", "x", 5)
    log.warning("%d", "x")
    log.warning("token='hush-hush-1'", extra={"user": "ann", "api_key": "hush-hush-2", "n": 3})
    log.warning("é" * 100_000)
    log.warning("lone \ud800")
    log.warning(Broken())


class Broken:
    def __str__(self):
        raise ValueError("no text")


@tool
def raises() -> None:
    try:
        raise KeyError("password='hush-hush-3'")
    except KeyError:
        logging.getLogger("raises").exception("failed")
    logging.getLogger("raises").warning("here", stack_info=True)


class Chatty:
    """A value that logs whenever it is formatted."""

    def __str__(self):
        logging.getLogger("chatty").warning("showing %s", self)
        return "chatty"


@tool
def recurses() -> None:
    logging.getLogger("recurses").warning("%s", Chatty())
    logging.getLogger("recurses").warning("after")


@tool
def basic_config() -> list:
    """Set up logging, which must work as in any program."""
    root = logging.getLogger()
    before = list(root.handlers)
    logging.basicConfig(level=logging.INFO, format="FORMATTED %(message)s")
    logging.info("by basicConfig")
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True, stream=sys.stdout)
    logging.info("by force")
    return [len(before), len(root.handlers)]


@tool
def dict_config(path: str) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "file": {"class": "logging.FileHandler", "filename": path},
                "err": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
            },
            "root": {"level": "INFO", "handlers": ["file"]},
            "loggers": {
                "private": {"level": "INFO", "handlers": ["err"], "propagate": False},
                "silent": {"level": "INFO", "handlers": ["file"], "propagate": False},
                "both": {"level": "INFO", "handlers": ["err"]},
            },
        }
    )
    for name in ("any", "private", "silent", "both"):
        logging.getLogger(name).info(name)
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    logging.getLogger("any").info("no handlers")


@tool
def queued() -> None:
    waiting = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, logging.StreamHandler())
    log = logging.getLogger("queued")
    log.addHandler(logging.handlers.QueueHandler(waiting))
    listener.start()
    log.warning("once")
    listener.stop()


@tool
async def from_tasks() -> None:
    async def say(n):
        await asyncio.sleep(0)
        logging.getLogger("tasks").warning("task %d", n)

    await asyncio.gather(say(1), say(2))
    await asyncio.to_thread(logging.getLogger("tasks").warning, "thread")


@tool
def from_a_thread() -> None:
    thread = threading.Thread(target=logging.warning, args=("beside",), name="beside")
    thread.start()
    thread.join()


@tool
def floods(n: int) -> None:
    for number in range(n):
        logging.getLogger("flood").warning("line %d", number)


@tool
def forks() -> int:
    pid = os.fork()
    if not pid:
        logging.getLogger("child").warning("said by the child")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@tool
def dies() -> None:
    logging.getLogger("last").warning("before")
    logging.getLogger("last").critical("last words")
    os._exit(9)
