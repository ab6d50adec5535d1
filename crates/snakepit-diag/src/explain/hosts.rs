//! SP9xxx, the admin service of a running host.

use super::Row;

pub(super) const ROWS: &[Row] = &[
    [
        "SP9001",
        "No host runs, or none of this name.",
        "No program that uses snakepit runs with this data directory, or the run that was named has ended.",
        "snakepit status --run 4h8vq0",
        "List the runs with `snakepit ps`, and those that have ended with `snakepit ps --all`; name another directory with `--data-dir` or `SNAKEPIT_DATA_DIR`.",
    ],
    [
        "SP9002",
        "Several runs may be meant.",
        "More than one program uses the data directory and none was named, or several runs begin with what was named; for `report` and `trace` those that have ended count as well.",
        "2 hosts run: 4h8vq0…, 7b2kd1…",
        "Name one of them with `--run`; the first characters of its run are enough. `snakepit ps --all` lists all.",
    ],
    [
        "SP9003",
        "The host ended while it was asked.",
        "The program was stopped, or its socket was left behind by one that is gone.",
        "the host of run `4h8vq0` has gone while it was asked",
        "See with `snakepit ps` whether it still runs; `snakepit report --run` reads what it has left.",
    ],
    [
        "SP9004",
        "The host speaks another version of the admin protocol.",
        "The program `snakepit` and the host were built from different versions of the library.",
        "the host speaks version 2 of the admin protocol, this program version 1",
        "Use the program `snakepit` of the host's version.",
    ],
    [
        "SP9005",
        "An action was asked for without permission.",
        "To recycle or drain a worker, or to cancel a call, changes what the host does.",
        "snakepit recycle main-1",
        "Allow actions: `--allow-actions`, or `Client::allow_actions(true)` in a program.",
    ],
    [
        "SP9006",
        "The admin socket of a host cannot be used or trusted.",
        "The host has `admin = false`, the socket was removed, or something else is in its place.",
        "the host of run `4h8vq0` does not let others look into it",
        "Remove `admin = false`; if something else is in its place, find out who has put it there.",
    ],
    [
        "SP9007",
        "The host could not answer.",
        "It failed while it answered; the message says how.",
        "the host panicked while it answered the request",
        "See the log of the host; report the message as a defect.",
    ],
    [
        "SP9008",
        "The recording of a host cannot be read.",
        "The file is damaged, or was written by another version.",
        "the recording `flight-0` of run `4h8vq0` cannot be read: it is damaged, or none of this version",
        "Read it with the program `snakepit` of the version that wrote it.",
    ],
    [
        "SP9009",
        "A worker cannot be profiled.",
        "Its interpreter is of a version or build that the profiler does not know, memory may not be read, or another profile is being made.",
        "worker `main-1` cannot be profiled: the layout of CPython 3.15 is not known here",
        "Look at its stacks with `snakepit stack`, which works without the profiler; or wait until the other profile is done.",
    ],
    [
        "SP9010",
        "The host answers nothing: its process is stopped, or its threads are blocked.",
        "It got SIGSTOP or SIGTSTP (Ctrl-Z in its terminal), it reads or writes its terminal from the background, or a debugger holds it. If it is not stopped, its runtime is blocked or gets no processor.",
        "the host of run `4h8vq0` is stopped: process 71302 is suspended and answers nothing",
        "Let it go on with `kill -CONT PID`, or with `fg` in its terminal.",
    ],
    [
        "SP9011",
        "The program cannot write its output.",
        "The disk is full, or stdout or the file that was named (`--output`, `--html`, `--record`) refuses what is written.",
        "the output cannot be written: No space left on device (os error 28)",
        "Free space, or send the output to another place, or name another file.",
    ],
];
