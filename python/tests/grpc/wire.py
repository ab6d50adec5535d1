"""Requests in their wire form, and the decoding of failures."""

import json

import grpc
import pytest
import snakepit_bridge_pb2 as pb
from google.protobuf import any_pb2
from grpc_status import rpc_status

STRING = "type.googleapis.com/google.protobuf.StringValue"
VALUE = "type.googleapis.com/google.protobuf.Value"


def raw(value, url=STRING):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return any_pb2.Any(type_url=url, value=text)


def packed(message):
    result = any_pb2.Any()
    result.Pack(message)
    return result


def parameters(**values):
    return {
        name: value if isinstance(value, any_pb2.Any) else raw(value)
        for name, value in values.items()
    }


def host_call(session, tool, **values):
    return pb.ExecuteElixirToolRequest(
        session_id=session, tool_name=tool, parameters=parameters(**values)
    )


def tool_call(session, tool, **values):
    return pb.ExecuteToolRequest(
        session_id=session, tool_name=tool, parameters=parameters(**values)
    )


def fails(code, call, *args, **kwargs):
    """Return the error of a call that must fail with this code."""
    with pytest.raises(grpc.RpcError) as raised:
        answer = call(*args, **kwargs)
        if not hasattr(answer, "DESCRIPTOR"):
            list(answer)
    assert raised.value.code() == code, raised.value
    return raised.value


def detail(error):
    """Return the ToolError in the details of a status, as any gRPC library finds it."""
    status = rpc_status.from_call(error)
    found = pb.ToolError()
    assert status.details[0].Unpack(found)
    return found
