//! SP9xxx, the admin service of a running host.

use super::Row;

pub(super) const ROWS: &[Row] = &[
    [
        "SP9001",
        "No host runs, or no run has this name.",
        "No program that uses snakepit runs with this data directory, or the run that was named has ended.",
        "snakepit status --run 4h8vq0",
        "List the runs with `snakepit ps`, and those that have ended with `snakepit ps --all`; name another directory with `--data-dir` or `SNAKEPIT_DATA_DIR`.",
    ],
    [
        "SP9002",
        "The name matches several runs.",
        "More than one program uses the data directory and no run was named, or several runs begin with the given characters; `report` and `trace` also count runs that have ended.",
        "2 hosts run: 4h8vq0…, 7b2kd1…",
        "Name one of them with `--run`; the first characters of its run are enough. `snakepit ps --all` lists all.",
    ],
    [
        "SP9003",
        "The host has ended, or closed the connection.",
        "The program ended during the request, or a program that has ended left its socket behind.",
        "the host of run `4h8vq0` has ended or closed the connection",
        "Check with `snakepit ps` whether it still runs; `snakepit report --run` reads its recording.",
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
        "An action was requested without permission.",
        "Recycling or draining a worker and cancelling a call change what the host does, and must be allowed.",
        "snakepit recycle main-1",
        "Allow actions: `--allow-actions`, or `Client::allow_actions(true)` in a program.",
    ],
    [
        "SP9006",
        "The admin socket of a host cannot be used or trusted.",
        "The host has `admin = false`, the socket was removed, or something else is in its place.",
        "the admin service of the host of run `4h8vq0` is off",
        "Remove `admin = false`; if something else is in its place, find out which program or user created it.",
    ],
    [
        "SP9007",
        "The host could not answer.",
        "The request failed in the host; the message says how.",
        "the host panicked while it answered the request",
        "Read the log of the host; report a bug with this message.",
    ],
    [
        "SP9008",
        "The recording of a host cannot be read.",
        "The file is damaged, or was written by another version.",
        "the recording `flight-0` of run `4h8vq0` cannot be read: it is damaged or has another version",
        "Read it with the program `snakepit` of the version that wrote it.",
    ],
    [
        "SP9009",
        "A worker cannot be profiled.",
        "Its interpreter is of a version or build that the profiler does not know, memory may not be read, or another profile is being made.",
        "worker `main-1` cannot be profiled: the layout of CPython 3.15 is not known here",
        "Show its stacks with `snakepit stack`, which works without the profiler; or wait until the other profile is done.",
    ],
    [
        "SP9010",
        "The host does not answer: its process is stopped, or its threads are blocked.",
        "It received SIGSTOP or SIGTSTP (Ctrl-Z in its terminal), it reads or writes its terminal from the background, or a debugger holds it. If it is not stopped, its runtime is blocked or gets no CPU time.",
        "the host of run `4h8vq0` is stopped: process 71302 is suspended and does not answer",
        "Resume it with `kill -CONT PID`, or with `fg` in its terminal, or detach the debugger.",
    ],
    [
        "SP9011",
        "The program cannot write its output.",
        "The disk is full, or stdout or the file that was named (`--output`, `--html`, `--record`) rejects the data.",
        "the output cannot be written: No space left on device (os error 28)",
        "Free space, or send the output to another place, or name another file.",
    ],
];
