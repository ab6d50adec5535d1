"""Behaviour with and without the GIL, and the report of a worker whose GIL is on again."""

import array
import shutil
import subprocess
import sys
import sysconfig
import threading
from decimal import Decimal

import pytest
from minihost import PACKAGE_DIR, PING, Worker, fields

pytestmark = pytest.mark.native

GIL_ENABLED = 40
FREE = not getattr(sys, "_is_gil_enabled", lambda: True)()
only_without_gil = pytest.mark.skipif(not FREE, reason="this interpreter always has the GIL")

MODULE = """
#include <Python.h>
static PyModuleDef_Slot slots[] = {
#ifdef DECLARED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = NAME, .m_slots = slots};
PyMODINIT_FUNC INIT(void) { return PyModuleDef_Init(&module); }
"""


def extension(folder, name, *options):
    """Compile an empty extension module."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source = folder / f"{name}.c"
    source.write_text(MODULE)
    file = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    names = [f'-DNAME="{name}"', f"-DINIT=PyInit_{name}"]
    command = [compiler, "-shared", "-fPIC", include, *names, *options, source, "-o", file]
    subprocess.run(command, check=True)


def told(worker):
    """Return the module of the report on the control connection."""
    frame = worker.control.receive()
    assert frame.kind == GIL_ENABLED
    return dict(fields(frame.head))[1].decode()


def test_a_worker_says_whether_it_has_the_gil(source, tmp_path):
    source("from snakepit_bridge import tool\n@tool\ndef f(): return 1\n")
    with Worker("adapter_under_test.py", cwd=tmp_path) as worker:
        assert worker.described["gil_enabled"] == (0 if FREE else 1)
        assert worker.described["gil_reenabled_by"] == ""
        assert worker.call("f") == 1


@only_without_gil
def test_a_module_that_needs_the_gil_is_named_when_the_adapter_imports_it(source, tmp_path):
    extension(tmp_path, "quiet", "-DDECLARED")
    extension(tmp_path, "loud")
    extension(tmp_path, "louder")
    source("""
        import warnings
        from snakepit_bridge import tool
        import quiet
        # What many programs do, and what must not hide it.
        warnings.simplefilter("ignore")
        import loud, louder

        @tool
        def f(): return 1
    """)
    with Worker("adapter_under_test.py", cwd=tmp_path) as worker:
        assert worker.described["gil_enabled"] == 1
        assert worker.described["gil_reenabled_by"] == "loud"
        assert told(worker) == "loud"
        # Once: the next frame is the answer to a ping.
        worker.control.send(PING, 5)
        assert worker.control.receive().call_id == 5


@only_without_gil
def test_an_import_while_the_worker_serves_is_told_too(source, tmp_path):
    extension(tmp_path, "loud")
    source("""
        import sys
        from snakepit_bridge import tool

        @tool
        def load():
            import loud
            return sys._is_gil_enabled()
    """)
    with Worker("adapter_under_test.py", cwd=tmp_path) as worker:
        assert worker.described["gil_enabled"] == 0
        assert worker.call("load") is True
        assert told(worker) == "loud"
        assert worker.describe()["gil_reenabled_by"] == "loud"


@only_without_gil
def test_the_gil_that_was_asked_for_is_nobodys_fault(source, tmp_path):
    extension(tmp_path, "loud")
    source("import loud\nfrom snakepit_bridge import tool\n@tool\ndef f(): return 1\n")
    with Worker("adapter_under_test.py", cwd=tmp_path, env={"PYTHON_GIL": "1"}) as worker:
        assert worker.described["gil_enabled"] == 1
        assert worker.described["gil_reenabled_by"] == ""


def test_a_package_without_its_compiled_part_says_what_to_do(tmp_path):
    package = tmp_path / "snakepit_bridge"
    shutil.copytree(PACKAGE_DIR / "snakepit_bridge", package, ignore=_compiled)
    (package / "_native.cpython-399-other.so").touch()
    ended = subprocess.run(
        [sys.executable, "-c", "import snakepit_bridge._boot"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1
    assert last.startswith("ImportError: SP5006: there is no snakepit_bridge._native."), last
    assert "only _native.cpython-399-other.so" in last
    assert f"cargo xtask python{' --free-threaded /' if FREE else '`'}" in last


def _compiled(_folder, names):
    return [name for name in names if name.endswith(".so") or name == "__pycache__"]


def changing(change):
    """Run `change` again and again on two other threads while the body runs."""
    over = threading.Event()

    def go():
        while not over.is_set():
            change()

    threads = [threading.Thread(target=go) for _ in range(2)]

    class Body:
        def __enter__(self):
            for thread in threads:
                thread.start()

        def __exit__(self, *_):
            over.set()
            for thread in threads:
                thread.join()

    return Body()


def packed(value, times=300):
    """Return how often a value that others change could be packed, and the errors."""
    from snakepit_bridge._native import pack, unpack

    errors = set()
    for _ in range(times):
        try:
            unpack(pack(value))
        except TypeError as error:
            errors.add(str(error))
    return errors


def test_a_value_that_other_threads_change_is_sent_or_refused():
    numbers = {n: str(n) for n in range(50)}

    def change_map():
        for n in range(50, 200):
            numbers[n] = [n]
        for n in range(50, 200):
            numbers.pop(n, None)

    with changing(change_map):
        errors = packed(numbers)
    assert all("changed while it was being sent" in error for error in errors), errors

    items = list(range(50))

    def change_list():
        items.extend([[1], "x", 2.5] * 40)
        del items[50:]

    with changing(change_list):
        errors = packed(items)
    assert all("changed while it was being sent" in error for error in errors), errors

    data = bytearray(50_000)

    def change_bytes():
        try:
            data.extend(b"x" * 5000)
            del data[50_000:]
        except BufferError:
            return

    with changing(change_bytes):
        assert packed(data) == set()


def test_values_are_packed_by_many_threads_at_once():
    from snakepit_bridge._native import pack, unpack

    value = {"a": [1, Decimal("2.5"), b"x" * 100], "b": {"c": ("d", None, 2.5)}}
    expected = unpack(pack(value))
    start = threading.Barrier(8)
    same = []

    def go():
        start.wait()
        same.append(all(unpack(pack(value)) == expected for _ in range(300)))

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 8


def test_an_array_that_many_threads_send_can_grow_afterwards():
    from snakepit_bridge._native import pack

    shared = array.array("d", range(100))
    start = threading.Barrier(4)

    def go():
        start.wait()
        for _ in range(3000):
            pack(shared)

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # While a view of it is counted it cannot.
    shared.append(1.0)
    assert len(shared) == 101
