"""Sessions, descriptions, and tools of the host."""

import json
import time

import grpc
import pytest
import snakepit_bridge_pb2 as pb
from google.protobuf import any_pb2, struct_pb2, wrappers_pb2
from wire import STRING, VALUE, detail, fails, host_call, packed, raw


def test_ping(stub):
    answer = stub.Ping(pb.PingRequest(message="hello"))
    assert answer.message == "pong: hello"
    assert abs(answer.server_time.seconds - time.time()) < 3600


def test_sessions(stub, session):
    again = stub.InitializeSession(pb.InitializeSessionRequest(session_id=session))
    assert again.success and "add" in again.available_tools
    found = stub.GetSession(pb.GetSessionRequest(session_id=session))
    assert found.session_id == session
    assert abs(found.created_at.seconds - time.time()) < 3600
    assert found.tool_count == len(again.available_tools)
    assert stub.Heartbeat(pb.HeartbeatRequest(session_id=session)).session_valid
    assert not stub.Heartbeat(pb.HeartbeatRequest(session_id="nobody")).session_valid
    error = fails(grpc.StatusCode.NOT_FOUND, stub.GetSession, pb.GetSessionRequest(session_id="no"))
    assert error.details() == "Session not found: no"
    assert detail(error).code == "SP7001"
    cleaned = stub.CleanupSession(pb.CleanupSessionRequest(session_id=session, force=True))
    assert (cleaned.success, cleaned.resources_cleaned) == (True, 1)
    cleaned = stub.CleanupSession(pb.CleanupSessionRequest(session_id=session))
    assert (cleaned.success, cleaned.resources_cleaned) == (True, 0)


def test_a_session_that_cannot_be(stub):
    for request in [
        pb.InitializeSessionRequest(),
        pb.InitializeSessionRequest(session_id="x" * 10_000),
        pb.InitializeSessionRequest(session_id="m", metadata={"k": "v" * 5000}),
    ]:
        error = fails(grpc.StatusCode.INVALID_ARGUMENT, stub.InitializeSession, request)
        assert detail(error).message


def test_describe_and_telemetry(stub):
    answer = stub.Describe(pb.DescribeRequest(protocol_version=1))
    assert answer.runtime == "snakepit" and answer.tools[0].name == "echo"
    fails(grpc.StatusCode.UNIMPLEMENTED, stub.StreamTelemetry, iter([]))


def test_exposed_tools(stub, session):
    tools = stub.GetExposedElixirTools(pb.GetExposedElixirToolsRequest(session_id=session)).tools
    add = next(tool for tool in tools if tool.name == "add")
    assert [(it.name, it.type, it.required) for it in add.parameters] == [
        ("a", "integer", True),
        ("b", "integer", True),
    ]
    assert json.loads(add.parameters_schema)["type"] == "object"
    assert "hidden" not in [tool.name for tool in tools]
    request = pb.GetExposedElixirToolsRequest(session_id="nobody")
    fails(grpc.StatusCode.NOT_FOUND, stub.GetExposedElixirTools, request)


def test_a_host_tool_takes_values_in_every_form(stub, session):
    listed = struct_pb2.ListValue()
    listed.extend([1, "a", None])
    mapped = struct_pb2.Struct()
    mapped.update({"k": [True]})
    given = {
        "string": (packed(wrappers_pb2.StringValue(value="hü")), "hü"),
        "empty": (packed(wrappers_pb2.StringValue()), ""),
        "like_json": (packed(wrappers_pb2.StringValue(value="[1]")), "[1]"),
        "json_string": (raw("x"), "x"),
        "json_line_feed": (raw(b"\n[1]"), [1]),
        "int": (raw(5, VALUE), 5),
        "float": (raw(0.5, VALUE), 0.5),
        "bool": (raw(True, VALUE), True),
        "nan": (raw(b"NaN", VALUE), "NaN"),
        "none": (raw(None), None),
        "nested": (raw({"a": [1, {"b": None}]}), {"a": [1, {"b": None}]}),
        "packed_bool": (packed(wrappers_pb2.BoolValue(value=True)), True),
        "packed_int": (packed(wrappers_pb2.Int64Value(value=-7)), -7),
        "packed_float": (packed(wrappers_pb2.DoubleValue(value=2.5)), 2.5),
        "packed_list": (packed(listed), [1.0, "a", None]),
        "packed_struct": (packed(mapped), {"k": [True]}),
        "typed_float": (raw(b'"Infinity"', "type.googleapis.com/snakepit.float"), "Infinity"),
        "typed_integer": (raw(3.0, "type.googleapis.com/snakepit.integer"), 3),
        "tensor": (
            raw({"shape": [2, 1], "data": [1, 2]}, "type.googleapis.com/snakepit.tensor"),
            [[1.0], [2.0]],
        ),
    }
    request = host_call(session, "give_back", **{name: it[0] for name, it in given.items()})
    answer = stub.ExecuteElixirTool(request)
    assert answer.success, answer.error_message
    assert answer.result.type_url == STRING
    assert json.loads(answer.result.value) == {name: it[1] for name, it in given.items()}
    assert int(answer.metadata["execution_time"]) >= 0


def test_results_of_host_tools(stub, session):
    answer = stub.ExecuteElixirTool(host_call(session, "add", a=2**62, b=-1))
    assert json.loads(answer.result.value) == 2**62 - 1
    answer = stub.ExecuteElixirTool(host_call(session, "give_bytes"))
    assert (answer.binary_result, answer.result.value) == (b"\x01\x02", b"{}")
    answer = stub.ExecuteElixirTool(host_call(session, "give_nan"))
    assert (answer.result.type_url[-14:], answer.result.value) == ("snakepit.float", b'"NaN"')


@pytest.mark.parametrize(
    ("tool", "values", "message"),
    [
        ("nothing", {}, "Tool nothing not found for session"),
        ("hidden", {}, "Tool hidden not found for session"),
        ("refuse", {}, "Tool execution failed: not today"),
        ("panic", {}, "Tool execution failed: host tool `panic` panicked"),
        ("add", {"a": 1}, "Tool execution failed: "),
        ("add", {"a": 1, "b": "x"}, "Tool execution failed: "),
        ("add", {"a": raw(b"{'a': 1}")}, "Invalid parameter a: "),
        ("add", {"a": raw(b"")}, "Tool execution failed: "),
        ("add", {"a": raw(b"\xff\xfe")}, "Invalid parameter a: "),
        ("add", {"a": raw(b"[" * 100_000)}, "Invalid parameter a: it nests deeper"),
        ("add", {"a": raw(b"1" * 50)}, "Invalid parameter a: the integer"),
        ("add", {"a": any_pb2.Any(type_url="x", value=b"\x08\x01")}, "Invalid parameter a: "),
    ],
)
def test_failures_of_host_tools(stub, session, tool, values, message):
    answer = stub.ExecuteElixirTool(host_call(session, tool, **values))
    assert not answer.success
    assert answer.error_message.startswith(message)
    assert answer.metadata["error_code"].startswith("SP")


def test_a_session_of_a_host_tool_must_exist(stub):
    answer = stub.ExecuteElixirTool(host_call("nobody", "add", a=1, b=2))
    assert not answer.success and "not_found" in answer.error_message
    assert stub.ExecuteElixirTool(host_call("", "add", a=1, b=2)).success


def test_too_many_parameters(stub, session):
    values = {f"p{n}": n for n in range(1001)}
    answer = stub.ExecuteElixirTool(host_call(session, "give_back", **values))
    assert "1001 parameters" in answer.error_message


def test_streams_of_host_tools(stub, session):
    *items, last = stub.StreamElixirTool(host_call(session, "count_to", n=3))
    assert [json.loads(it.data) for it in items] == [1, 2, 3]
    assert [it.chunk_id for it in items] == ["count_to-1", "count_to-2", "count_to-3"]
    assert last.is_final and last.metadata["chunks_sent"] == "3"
    for tool, code in [
        ("nothing", grpc.StatusCode.NOT_FOUND),
        ("add", grpc.StatusCode.UNIMPLEMENTED),
        ("count_to", grpc.StatusCode.INVALID_ARGUMENT),
    ]:
        error = fails(code, stub.StreamElixirTool, host_call(session, tool))
        assert detail(error).code.startswith("SP")


def test_deadlines(stub, session):
    fails(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        stub.ExecuteElixirTool,
        host_call(session, "wait"),
        timeout=0.2,
    )
    stream = stub.StreamElixirTool(host_call(session, "wait_on"), timeout=0.2)
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: stream)


def test_registration_of_tools(stub, session):
    def register(*names, session=session, **fields):
        tools = [pb.ToolRegistration(name=name, **fields) for name in names]
        request = pb.RegisterToolsRequest(session_id=session, tools=tools, worker_id="python-1")
        return stub.RegisterTools(request)

    answer = register("x", "y", metadata={"k": "v"})
    assert answer.success and answer.tool_ids["x"] == f"{session}:x"
    assert "duplicate_tool" in register("z", "x").error_message
    assert "duplicate_tool" in register("add").error_message
    assert not register("no good").success
    assert not register("z" * 65).success
    assert not register("z", metadata={"k": "v" * 5000}).success
    assert "Session not found" in register("z", session="nobody").error_message
    assert register("z").success
    answer = stub.ExecuteElixirTool(host_call(session, "x"))
    assert answer.error_message == "Tool x is not an Elixir tool"
