"""Readers of Arrow can be read once: none is empty because it was read before."""

from pathlib import Path

import pytest
from libraries import library
from minihost import HostFault, Worker

from snakepit_bridge._host import ops

pytestmark = pytest.mark.native

pa = library("pyarrow")

ADAPTER = str(Path(__file__).parent / "one_shot_adapter.py")


@pytest.fixture(scope="module")
def worker():
    with Worker(ADAPTER) as worker:
        yield worker


def rows(value):
    table = value.read_all() if isinstance(value, pa.RecordBatchReader) else value
    return table.to_pydict()


FULL = {"a": [1, 2]}


@pytest.mark.parametrize("kind", ["reader", "stream"])
def test_a_reader_that_a_result_holds_twice_is_sent_twice(worker, kind):
    first, second = worker.call("twice", value=kind)
    assert rows(first) == rows(second["again"]) == FULL


@pytest.mark.parametrize("kind", ["reader", "stream"])
def test_a_reader_beside_a_marker_has_its_rows(kind):
    with Worker(ADAPTER, env={"SNAKEPIT_UNSERIALIZABLE": "marker"}) as worker:
        got = worker.call("with_odd", value=kind)
    assert rows(got["data"]) == rows(got["job"]["data"]) == FULL
    assert got["odd"]["__type__"].endswith("Odd")


@pytest.mark.parametrize("name", ["put", "put_async"])
def test_a_list_of_a_new_variable_has_the_rows_of_its_readers(worker, name):
    bodies = []

    def host(request):
        if request.op == ops.VARIABLE_SET:
            error = {"code": "SP7101", "message": "variable `new` does not exist"}
            return [{"name": "new", "error": error}]
        assert request.op == ops.VARIABLE_REGISTER
        bodies.append(request.body)
        return {"version": 1}

    worker.host = host
    worker.call(name)
    [body] = bodies
    assert body["type"] == "list"
    assert rows(body["value"][0]) == rows(body["value"][1]["x"]["data"]) == FULL


def test_an_updated_variable_has_the_rows_of_a_reader_and_so_has_the_caller(worker):
    sent = []

    def host(request):
        if request.op == ops.VARIABLE_GET:
            return {"name": "known", "type": "data_frame", "value": None, "version": 1}
        sent.append(rows(request.body["items"][0]["value"]))
        return [{"name": "known", "version": 2}]

    worker.host = host
    assert worker.call("update") == 2 and sent == [FULL]


def test_a_host_tool_that_was_not_started_is_not_started_again_with_an_empty_reader(worker):
    opened = []

    def host(request):
        if request.op == ops.TOOLS_LIST:
            return [{"name": "rows", "streaming": True}]
        opened.append(rows(request.body[0]))
        raise HostFault("SP8003", "busy")

    worker.host = host
    assert worker.call("stream") == ["busy", []] and opened == [FULL]


def test_a_union_that_tries_a_reader_does_not_empty_it(worker):
    def reader():
        return pa.table(FULL).to_reader()

    assert worker.call("one_of", value=[reader(), 1]) == ["RecordBatchReader", 2]
    assert worker.call("tables_or_more", value={"a": reader(), "b": 3}) == [2, 3]
