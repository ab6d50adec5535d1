"""Tools of workers."""

import json

import grpc
import pytest
import snakepit_bridge_pb2 as pb
from wire import fails, raw, tool_call


def test_tools_of_workers(stub, session):
    request = tool_call(session, "echo", x=[1, None])
    request.binary_parameters["b"] = b"\x00\xff"
    request.metadata["timeout_ms"] = "60000"
    request.call_id = 5
    answer = stub.ExecuteTool(request)
    assert answer.success and answer.call_id == 5
    assert json.loads(answer.result.value) == {"x": [1, None], "b": {"$bytes": "AP8="}}
    assert answer.metadata["tool_type"] == "remote"
    answer = stub.ExecuteTool(tool_call(session, "bytes"))
    assert answer.binary_result == b"\x00\x01\xff"
    request = pb.ExecuteToolRequest(tool_name="echo", payload=b"[1]", encoding=pb.ENCODING_JSON)
    answer = stub.ExecuteTool(request)
    assert (answer.payload, answer.encoding) == (b"[1]", pb.ENCODING_JSON)
    request = pb.ExecuteToolRequest(
        tool_name="echo", payload=b"\x91\x01", encoding=pb.ENCODING_MSGPACK
    )
    answer = stub.ExecuteTool(request)
    assert (answer.payload, answer.encoding) == (b"\x91\x01", pb.ENCODING_MSGPACK)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (tool_call("", "raise"), "SP3001"),
        (tool_call("", "nothing"), "SP2001"),
        (tool_call("", "collapse"), "SP8006"),
        (tool_call("", ""), "SP8010"),
        (tool_call("nobody", "echo"), "SP7001"),
        (tool_call("", "echo", x=raw(b"{")), "SP8010"),
        (pb.ExecuteToolRequest(tool_name="echo", payload=b"{}"), "SP8010"),
        (pb.ExecuteToolRequest(tool_name="echo", encoding=99), "SP8010"),
        (pb.ExecuteToolRequest(tool_name="echo", encoding=pb.ENCODING_RAW), "SP2008"),
        (pb.ExecuteToolRequest(tool_name="echo", metadata={"timeout_ms": "x"}), "SP8010"),
        (pb.ExecuteToolRequest(tool_name="echo", metadata={"k": "v" * 20_000}), "SP8010"),
        (pb.ExecuteToolRequest(tool_name="echo", buffers=[pb.Buffer()], encoding=1), "SP8010"),
        (pb.ExecuteToolRequest(tool_name="never", timeout_us=20_000), "SP4003"),
    ],
)
def test_failures_of_tools(stub, request_, code):
    answer = stub.ExecuteTool(request_)
    assert not answer.success and answer.error_message
    assert answer.error.code == code


def test_streams_of_tools(stub, session):
    *items, last = stub.ExecuteStreamingTool(tool_call(session, "count", n=500))
    assert [json.loads(it.data) for it in items] == list(range(500))
    assert last.is_final and last.metadata["synthetic_final"] == "true"
    for tool, code in [
        ("nothing", grpc.StatusCode.NOT_FOUND),
        ("count", grpc.StatusCode.INTERNAL),
        ("break", grpc.StatusCode.INTERNAL),
        ("collapse", grpc.StatusCode.INTERNAL),
    ]:
        fails(code, stub.ExecuteStreamingTool, tool_call(session, tool))
    fails(grpc.StatusCode.NOT_FOUND, stub.ExecuteStreamingTool, tool_call("nobody", "count", n=1))


def test_a_cancelled_stream_does_no_harm(stub):
    for _ in range(20):
        stream = stub.ExecuteStreamingTool(tool_call("", "endless"))
        assert json.loads(next(stream).data) == 0
        stream.cancel()
    assert stub.Ping(pb.PingRequest()).message == "pong: "


def test_many(stub):
    requests = (tool_call("", "echo" if n % 2 else "raise", n=n) for n in range(200))
    answers = list(stub.ExecuteToolMany(requests))
    assert len(answers) == 200
    for n, answer in enumerate(answers):
        assert answer.success == bool(n % 2)
        if answer.success:
            assert json.loads(answer.result.value) == {"n": n}
