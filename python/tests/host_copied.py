"""A host that is outlived by a copy of itself: `host_copied.py ADAPTER STATE FILE`.

The copy is a bare `fork` that holds every descriptor of the host. Prints the ids of the worker and
of the copy, and waits to be killed.
"""

import fcntl
import os
import signal
import sys

from minihost import Worker

F_SETSIG = 10

adapter, state, mark = sys.argv[1:]
read, write = os.pipe()
# As a host does it: the kernel kills the worker's group when the last write end closes.
os.dup2(read, 0, inheritable=True)
fcntl.fcntl(0, F_SETSIG, signal.SIGKILL)
fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
os.environ["SNAKEPIT_WORKER_HOST_PID"] = str(os.getpid())
worker = Worker(adapter)
fcntl.fcntl(0, fcntl.F_SETOWN, -worker.process.pid)
os.mkfifo(mark)
if state != "idle":
    worker.start(state, mark=mark)
    # The tool opens the other end when it runs.
    os.close(os.open(mark, os.O_RDONLY))
copy = os.fork()
if copy:
    print(worker.process.pid, copy, flush=True)
while True:
    signal.pause()
