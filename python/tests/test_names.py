"""Names of adapter files, and what they may shadow."""

import importlib.util

import pytest
from minihost import PACKAGE_DIR, ToolError, Worker

pytestmark = pytest.mark.native

SQUARES = """
import multiprocessing
from snakepit_bridge import tool

__thread_safe__ = True

def square(x):
    return x * x

@tool
def squares(n: int, how: str) -> list[int]:
    with multiprocessing.get_context(how).Pool(1) as pool:
        return pool.map_async(square, range(n)).get(60)

@tool
def month() -> str:
    import calendar
    return calendar.month_name[1]
"""
ONE = "from snakepit_bridge import tool\n@tool\ndef one() -> int: return 1\n"
THREADS = [{}, {"slots": 2}, {"env": {"SNAKEPIT_WORKER_CONCURRENCY": "4"}}]


@pytest.mark.parametrize("name", ["calendar.py", "my.tools.py", "json.py", "my_tools.py"])
@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_children_find_the_functions_of_the_file(tmp_path, name, how):
    (tmp_path / name).write_text(SQUARES)
    with Worker(str(tmp_path / name)) as worker:
        assert worker.call("squares", n=3, how=how) == [0, 1, 4]
        if name == "calendar.py":
            # The module of the standard library is still the one that others import.
            assert worker.call("month") == "January"


@pytest.mark.parametrize(
    ("shadow", "own"),
    [
        ("types.py", True),
        ("types.py", False),
        ("traceback.py", True),
        ("traceback.py", False),
        ("asyncio/__init__.py", False),
        ("select.py", True),
        ("select.py", False),
        ("snakepit_bridge.py", True),
        ("snakepit_bridge.py", False),
        ("contextvars.py", True),
    ],
)
def test_a_file_that_shadows_what_the_worker_needs_is_refused(tmp_path, shadow, own):
    path = tmp_path / shadow
    path.parent.mkdir(exist_ok=True)
    path.write_text(SQUARES)
    adapter = path if own else tmp_path / "adapter.py"
    adapter.write_text(SQUARES)
    with pytest.raises(ToolError) as refused, Worker(str(adapter)):
        pass
    fields = refused.value.fields
    assert fields["code"] == "SP5003"
    shadowing = path.parent if path.name == "__init__.py" else path
    assert str(shadowing) in fields["message"]
    assert fields["message"].count("`") == 6


@pytest.mark.parametrize("options", THREADS)
@pytest.mark.parametrize(
    "shadow", ["snakepit_bridge.py", "contextvars.py", "queue.py", "asyncio/__init__.py"]
)
@pytest.mark.parametrize("where", ["cwd", "path"])
def test_a_file_on_the_search_path_that_shadows_what_the_worker_needs_is_refused(
    tmp_path, shadow, where, options
):
    other = tmp_path / "other"
    path = other / shadow
    path.parent.mkdir(parents=True)
    path.write_text("")
    adapter = tmp_path / "adapter.py"
    adapter.write_text(ONE)
    options = dict(options)
    if where == "path":
        env = {"PYTHONPATH": f"{PACKAGE_DIR}:{other}"}
        options["env"] = {**options.get("env", {}), **env}
    else:
        options["cwd"] = str(other)
    if where == "path" and shadow == "snakepit_bridge.py":
        # The package comes first.
        with Worker(str(adapter), **options) as worker:
            assert worker.call("one") == 1
        return
    with pytest.raises(ToolError) as refused, Worker(str(adapter), **options):
        pass
    fields = refused.value.fields
    shadowing = path.parent if path.name == "__init__.py" else path
    assert fields["code"] == "SP5003"
    assert str(shadowing) in fields["message"]
    assert f"rename `{shadowing.name}`" in fields["help"]


def test_a_module_that_is_loaded_from_its_own_file_is_in_nobodys_way(tmp_path):
    (tmp_path / "adapter.py").write_text(ONE)
    (tmp_path / "cwd").mkdir()
    # `site` imported `os` before the working directory was searched.
    (tmp_path / "cwd" / "os.py").write_text("raise ImportError")
    with Worker(str(tmp_path / "adapter.py"), cwd=str(tmp_path / "cwd")) as worker:
        assert worker.call("one") == 1


def test_another_copy_of_the_package_in_the_working_directory_is_no_shadow(tmp_path):
    (tmp_path / "adapter.py").write_text(ONE)
    with Worker(str(tmp_path / "adapter.py"), cwd=str(PACKAGE_DIR)) as worker:
        assert worker.call("one") == 1


def test_what_only_has_the_name_shadows_nothing(tmp_path):
    (tmp_path / "types").mkdir()
    (tmp_path / "re.txt").write_text("")
    # `errno` is built into the interpreter, which searches no file for it.
    (tmp_path / "errno.py").write_text("raise ImportError")
    (tmp_path / "adapter.py").write_text(SQUARES)
    with Worker(str(tmp_path / "adapter.py")) as worker:
        assert worker.call("month") == "January"


PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "other": "import _thread, threading\n"
    "def start(*args, **kwargs): pass\n"
    "start.__module__ = 'other.green'\n"
    "threading._start_new_thread = _thread.start_new_thread = start",
}


@pytest.mark.parametrize("options", THREADS[1:])
@pytest.mark.parametrize("library", PATCHES)
@pytest.mark.parametrize("where", ["import", "initialize"])
def test_patched_threads_are_refused_by_name(tmp_path, library, options, where):
    if library != "other" and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if where == "initialize" and library != "other":
        pytest.skip("these patch at import")
    start = "\n".join("        " + line for line in PATCHES[library].split("\n"))
    adapter = tmp_path / "adapter.py"
    adapter.write_text(
        (PATCHES[library] + "\n" if where == "import" else "")
        + "from snakepit_bridge import BaseAdapter, tool\nclass Adapter(BaseAdapter):\n"
        + "    __thread_safe__ = True\n"
        + (f"    def initialize(self):\n{start}\n" if where == "initialize" else "")
        + "    @tool\n    def one(self) -> int:\n        return 1\n"
    )
    with pytest.raises(ToolError) as refused, Worker(str(adapter), **options):
        pass
    fields = refused.value.fields
    assert fields["code"] == "SP5003" and f"`{library}`" in fields["message"]


def test_patched_threads_work_in_a_process_of_one_slot(tmp_path):
    adapter = tmp_path / "adapter.py"
    adapter.write_text(
        PATCHES["other"] + "\nfrom snakepit_bridge import tool\n@tool\ndef one() -> int: return 1\n"
    )
    with Worker(str(adapter)) as worker:
        assert worker.call("one") == 1
