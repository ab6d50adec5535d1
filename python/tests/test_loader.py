"""Adapter references: what they find, and what is said when they find nothing."""

import sys

import pytest

from snakepit_bridge import BaseAdapter, _text, tool
from snakepit_bridge._load import loader
from snakepit_bridge._load.loader import LoadError

MEAN = """\
from snakepit_bridge import tool
@tool
def mean(xs: list[float]) -> float: return sum(xs) / len(xs)
"""


def tools(reference):
    return {item.name: item for item in loader.load(reference).tools}


def failure(reference):
    with pytest.raises(LoadError) as caught:
        loader.load(reference)
    return caught.value


def test_a_file_gives_its_decorated_functions_with_the_line_of_the_def(source):
    got = tools(source(MEAN, "tools.py"))["mean"]
    assert (got.file, got.line, got.signature) == (
        "tools.py",
        3,
        "def mean(xs: list[float]) -> float",
    )
    assert got.function([1, 2, 3]) == 2.0
    assert (got.kind, got.is_async, got.context, got.owner) == ("call", False, None, None)


def test_a_function_can_be_named_without_decorator(source):
    path = source("def plain(a, b=2, *rest, c, **more): return a\ndef other(): pass\n")
    got = tools(path + ":plain")
    assert list(got) == ["plain"]
    assert [(p[0], p[1], p[2]) for p in got["plain"].params] == [
        ("a", 1, True),
        ("b", 1, False),
        ("rest", 3, False),
        ("c", 2, True),
        ("more", 4, False),
    ]
    assert got["plain"].signature == "def plain(a, b=2, *rest, c, **more)"


def test_the_decorator_sets_name_description_and_streaming(source):
    path = source(
        '''
        from snakepit_bridge import tool
        @tool(name="a.b", description="text", streaming=True)
        def f():
            """Not this."""
            return iter([])
        @tool
        def g():
            """First.

               Second.
            """
        '''
    )
    got = tools(path)
    assert (got["a.b"].description, got["a.b"].kind) == ("text", "stream")
    assert got["g"].description == "First.\n\nSecond."


def test_kinds_come_from_the_code(source):
    path = source(
        """
        import functools
        from snakepit_bridge import tool
        def wrapped(f):
            @functools.wraps(f)
            def inner(*args, **kwargs):
                return f(*args, **kwargs)
            return inner
        @tool
        def plain(): pass
        @tool
        async def coroutine(): pass
        @tool
        def generator(): yield
        @tool
        async def async_generator(): yield
        @tool
        @wrapped
        def under(x: int): yield
        @wrapped
        @tool
        async def over(x: int): pass
        """
    )
    got = {name: (item.kind, item.is_async) for name, item in tools(path).items()}
    assert got == {
        "plain": ("call", False),
        "coroutine": ("call", True),
        "generator": ("stream", False),
        "async_generator": ("stream", True),
        "under": ("stream", False),
        "over": ("call", True),
    }
    assert tools(path)["over"].params == [("x", 1, True, ("int",))]
    assert tools(path)["over"].signature == "async def over(x: int)"


def test_an_adapter_class_is_constructed_initialised_and_cleaned_up(source):
    path = source(
        """
        from snakepit_bridge import BaseAdapter, tool
        events = []
        class Adapter(BaseAdapter):
            def __init__(self): events.append("init")
            async def initialize(self): events.append("initialize")
            def cleanup(self): events.append("cleanup")
            @tool
            def method(self, x: int, ctx): return self
            @tool
            @staticmethod
            def static(x): return x
            @staticmethod
            @tool
            def static2(x): return x
            @tool
            @classmethod
            def klass(cls, x): return cls
            @classmethod
            @tool
            def klass2(cls, x): return cls
        """
    )
    catalog = loader.load(path)
    got = {item.name: item for item in catalog.tools}
    assert sorted(got) == ["klass", "klass2", "method", "static", "static2"]
    assert [len(item.params) for item in got.values()] == [1] * 5
    assert got["method"].context == "ctx"
    assert got["method"].owner is got["method"].function(1, ctx=None)
    assert got["static"].owner is None
    catalog.close()
    catalog.close()
    assert sys.modules["adapter_under_test"].events == ["init", "initialize", "cleanup"]


def test_a_class_is_named_with_colon_or_dot_and_needs_no_base(source):
    source("", "pack/__init__.py")
    source(
        """
        from snakepit_bridge import tool
        class Plain:
            @tool
            def hello(self): return "hello"
        def function(): pass
        """,
        "pack/inner.py",
    )
    sys.path.insert(0, "")
    assert list(tools("pack.inner:Plain")) == ["hello"]
    assert list(tools("pack.inner.Plain")) == ["hello"]
    assert list(tools("pack.inner.function")) == ["function"]
    assert "BaseAdapter" in failure("pack.inner").help


def test_builtins_instances_and_partials_can_be_tools(source):
    path = source(
        """
        import functools
        class Call:
            def __call__(self, a: int): return a
        call = Call()
        part = functools.partial(max, 1)
        """
    )
    assert tools("math:sqrt")["sqrt"].params == [("x", 0, True, ("any",))]
    assert tools(path + ":call")["Call"].params == [("a", 1, True, ("int",))]
    assert tools(path + ":part")["partial"].function(2) == 2


def test_files_of_one_directory_share_modules(source):
    source("value = []\n", "beside_the_adapter.py")
    path = source(
        "from snakepit_bridge import tool\nimport beside_the_adapter\n@tool\ndef f(): pass\n"
    )
    tools(path)
    assert tools(path)["f"].function is sys.modules["adapter_under_test"].f


def test_a_file_may_have_the_name_of_a_standard_module(source):
    path = source(MEAN, "json.py")
    assert list(tools(path)) == ["mean"]


def test_a_missing_file_names_its_neighbours(source):
    source(MEAN, "tools.py")
    error = failure("tols.py")
    assert (error.code, error.help) == ("SP5003", "did you mean `tools.py`?")
    assert error.message == "adapter file `tols.py` does not exist"
    assert "no directory" in failure("nowhere/tools.py").message
    assert failure("./tools").help == "did you mean `./tools.py`?"


def test_a_syntax_error_has_file_line_and_text(source):
    error = failure(source("x = 1\ndef f(:\n    pass\n"))
    assert (error.code, error.file, error.line, error.source) == (
        "SP5003",
        "adapter_under_test.py",
        2,
        "def f(:",
    )
    assert "SyntaxError" in error.message


def test_an_exception_at_import_has_the_users_frame(source):
    source("def check(x):\n    raise ValueError('bad value')\n", "helper_of_adapter.py")
    error = failure(source("import helper_of_adapter\nhelper_of_adapter.check(1)\n"))
    assert error.message.endswith("cannot be imported: ValueError: bad value")
    assert (error.file, error.line) == ("helper_of_adapter.py", 2)
    assert "snakepit_bridge" not in error.traceback
    assert "helper_of_adapter.check(1)" in error.traceback


def test_a_module_missing_inside_the_adapter_is_told_apart(source):
    error = failure(source("import a_module_that_is_not_there\n"))
    assert "a_module_that_is_not_there" in error.message
    assert (error.file, error.line) == ("adapter_under_test.py", 1)
    assert "install" in error.help
    missing = failure("a_module_that_is_not_there.inner")
    assert missing.message.startswith("no module named `a_module_that_is_not_there`")


def test_a_module_that_exits_at_import_is_an_error(source):
    assert "__main__" in failure(source("raise SystemExit(0)\n")).help


def test_a_missing_attribute_names_the_nearest(source):
    error = failure(source(MEAN, "tools.py") + ":maen")
    assert error.help == "did you mean `mean`?"


@pytest.mark.parametrize("reference", ["", ":", "x:", ":x", "tools.py:", "a b", "a..b", "\0.py"])
def test_what_is_no_reference_is_refused(reference):
    assert failure(reference).code == "SP5003"


def test_an_object_that_is_no_tool_is_refused(source):
    assert "type int" in failure(source("x = 3\n") + ":x").message


def test_classes_that_fail_are_told(source):
    path = source(
        """
        from snakepit_bridge import BaseAdapter, tool
        class NeedsArgument(BaseAdapter):
            def __init__(self, x): pass
            @tool
            def f(self): pass
        class Raises(BaseAdapter):
            def initialize(self):
                raise OSError("no disk")
            @tool
            def g(self): pass
        """
    )
    assert "`NeedsArgument` cannot be constructed" in failure(path + ":NeedsArgument").message
    error = failure(path + ":Raises")
    assert error.message == "`initialize` of adapter `Raises` failed: OSError: no disk"
    assert (error.file, error.line) == ("adapter_under_test.py", 9)


def test_no_tools_tells_how_to_mark_one(source):
    error = failure(source("def f(): pass\n"))
    assert error.code == "SP5004"
    assert "`@tool`" in error.help
    assert (
        failure(
            source("from snakepit_bridge import BaseAdapter\nclass A(BaseAdapter): pass\n", "b.py")
        ).code
        == "SP5004"
    )


def test_two_tools_of_one_name_are_refused_with_both_places(source):
    path = source(
        "from snakepit_bridge import tool\n@tool\ndef f(): pass\n@tool(name='f')\ndef g(): pass\n"
    )
    error = failure(path)
    assert "adapter_under_test.py:3 and adapter_under_test.py:5" in error.message


@pytest.mark.parametrize("name", ["has space", "-x", ".x", "x" * 65, "ü"])
def test_bad_tool_names_are_refused(source, name):
    path = source(f"from snakepit_bridge import tool\n@tool(name={name!r})\ndef f(): pass\n")
    assert "cannot be named" in failure(path).message


def test_loading_imports_nothing_heavy(source):
    import subprocess

    from minihost import PACKAGE_DIR

    path = source(MEAN, "tools.py")
    heavy = ["typing", "inspect", "json", "asyncio", "dataclasses", "enum", "traceback", "re"]
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE_DIR)!r}); before = set(sys.modules);"
        f"from snakepit_bridge._load import loader; loader.load({path!r});"
        f"print([m for m in {heavy!r} if m in set(sys.modules) - before])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_decorator_refuses_what_cannot_be_called():
    with pytest.raises(TypeError, match="@tool marks functions"):
        tool(3)
    assert BaseAdapter().session_context is None


def test_json_text_is_that_of_the_json_module():
    import json

    value = {"a": [1, -2.5, True, None, 'q"\\\n\t\x01ü\ud800'], "": {}}
    assert json.loads(_text.to_json(value)) == value
    assert not _text.is_json(float("nan"))
    assert not _text.is_json({1: 2})


def package(tmp_path, *parts):
    folder = tmp_path
    for part in parts:
        folder = folder / part
        folder.mkdir()
        (folder / "__init__.py").write_text("")
    return folder


@pytest.fixture
def imports(monkeypatch):
    """Undo the effects of an import."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_of_a_package_is_imported_by_its_full_name(tmp_path, imports):
    folder = package(tmp_path, "outer_pkg", "inner_pkg")
    (folder / "helpers.py").write_text("def two(): return 2\n")
    (folder / "tools.py").write_text(
        "from snakepit_bridge import tool\nfrom . import helpers\nimport helpers as plain\n"
        "@tool\ndef two() -> int: return helpers.two()\n"
    )
    got = tools(str(folder / "tools.py"))["two"]
    assert got.function() == 2
    assert got.function.__module__ == "outer_pkg.inner_pkg.tools"


def test_the_directory_of_a_package_may_have_any_name(tmp_path, imports):
    folder = package(tmp_path, "outer-pkg", "2 inner")
    (folder / "helpers.py").write_text("def two(): return 2\n")
    (folder / "tools.py").write_text(
        "from snakepit_bridge import tool\nfrom . import helpers\n"
        "@tool\ndef two() -> int: return helpers.two()\n"
    )
    assert tools(str(folder / "tools.py"))["two"].function() == 2


def test_a_relative_import_outside_of_a_package_is_explained(tmp_path, imports):
    (tmp_path / "tools.py").write_text("from . import helpers\n")
    assert "create an empty `__init__.py`" in failure(str(tmp_path / "tools.py")).help


def test_a_package_with_the_name_of_another_is_left_alone(tmp_path, imports):
    folder = package(tmp_path, "json")
    (folder / "tools.py").write_text(MEAN)
    assert tools(str(folder / "tools.py"))["mean"].function([1, 3]) == 2.0
    import json

    assert json.loads("1") == 1


def test_an_error_in_a_package_names_the_file(tmp_path, imports):
    folder = package(tmp_path, "broken_pkg")
    (folder / "tools.py").write_text("from . import absent\n")
    error = failure(str(folder / "tools.py"))
    assert "tools.py" in error.message and "absent" in error.message
