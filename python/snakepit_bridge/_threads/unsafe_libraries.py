"""Libraries that several slots of one process must not use at the same time.

The host knows more about these and others: `snakepit compat`. A test compares both lists.
"""

#: Hints by import name.
UNSAFE = {
    "celery": "send tasks from one thread, or run it beside the pool and not inside a worker",
    "fasttext": "give each thread its own model, or hold a lock around calls",
    "matplotlib": "make a `Figure` for each call, without `pyplot`, or hold a lock around pyplot",
    "pandas": "do not share a DataFrame between threads; copy it, or hold a lock",
    "ray": "drive Ray from a process of its own: one driver per process",
    "spacy": "load one pipeline per thread, or use the process profile",
    "sqlite3": "open one connection per thread: `get_thread_local('db', factory=connect)`",
}
