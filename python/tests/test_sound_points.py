"""Places that leave a sound worker, on each CPython that is installed here."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]

#: Interrupts functions of a file of their own many times; prints where, and if it is sound.
PROGRAM = """
import dis, json, signal, sys

sys.path.insert(0, sys.argv[1])
from snakepit_bridge._serve import interrupt

class Stop(BaseException):
    pass

def interrupted(number, frame):
    if frame.f_code.co_filename == "tool.py":
        names = {one.offset: one.opname for one in dis.get_instructions(frame.f_code)}
        seen.add((names[frame.f_lasti], interrupt.sound(frame)))
        raise Stop

# In a worker the caller is a function of the bridge.
serve = {}
exec(compile("def serve(tool): tool()", interrupt.__file__, "exec"), serve)
signal.signal(signal.SIGALRM, interrupted)
found = {}
for name, body in json.loads(sys.argv[2]).items():
    tool, seen = {}, set()
    exec(compile("def tool():\\n  " + body + "\\n", "tool.py", "exec"), tool)
    for _ in range(40):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.01)
            serve["serve"](tool["tool"])
        except Stop:
            signal.setitimer(signal.ITIMER_REAL, 0)
    found[name] = sorted(seen)
print(json.dumps(found))
"""

LOOPS = {
    "while_true": "while True: pass",
    "while_condition": "n = 0\n  while n >= 0: n += 1",
    "while_not": "n = 1\n  while not n == 0: n += 1",
    "while_and": "n = 0\n  while n >= 0 and n < 1 << 60: n += 1",
    "while_is_none": "n = None\n  while n is None: pass",
    "while_is_not_none": "n = 0\n  while n is not None: n = 1",
    "for": "for _ in iter(int, 1): pass",
    "for_with_continue": "for n in iter(int, 1):\n    if n: continue\n    n += 1",
}

#: The exception arrives when a call has returned, and before the block that would release.
CALLS = {
    "if_call": "while True:\n    if abs(-1):\n      n = 1\n      n = 2",
    "call": "while True:\n    n = abs(-1)\n    n = 2",
}


def interpreters():
    """Return the path of each interpreter by its version."""
    names = [shutil.which(f"python3.{minor}") for minor in range(10, 16)]
    versions = (Path.home() / ".pyenv" / "versions").glob("3.*/bin/python")
    found = {}
    for path in [sys.executable, *names, *map(str, versions)]:
        if path is None:
            continue
        version = subprocess.run([path, "-V"], capture_output=True, text=True, check=False).stdout
        minor = version.removeprefix("Python ").split(".")[1:2]
        if minor and minor[0].isdigit() and int(minor[0]) >= 10:
            found.setdefault(f"3.{minor[0]}", path)
    return found


FOUND = interpreters()


@functools.cache
def seen(python):
    """Return where each function was interrupted: the instructions, and if they are sound."""
    bodies = json.dumps({**LOOPS, **CALLS})
    program = [FOUND[python], "-c", PROGRAM, str(PACKAGE), bodies]
    ran = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(ran.stdout)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("python", FOUND)
def test_the_end_of_a_loop_is_sound(python, loop):
    found = seen(python)[loop]
    points = [name for name, sound in found if sound]
    assert points and all("JUMP" in name for name in points), found


@pytest.mark.parametrize("code", CALLS)
@pytest.mark.parametrize("python", FOUND)
def test_the_return_of_a_call_is_not_sound(python, code):
    found = seen(python)[code]
    calls = [sound for name, sound in found if "CALL" in name]
    ahead = [sound for name, sound in found if name.startswith("POP_JUMP_IF")]
    assert calls and not any(calls + ahead), found
