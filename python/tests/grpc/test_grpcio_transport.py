"""Tokens, malformed and large messages."""

import struct

import grpc
import snakepit_bridge_pb2 as pb
import snakepit_bridge_pb2_grpc as stubs
from conftest import connect
from wire import fails, host_call


def test_a_wrong_token_is_refused():
    stub = stubs.BridgeServiceStub(connect("tcp", token="wrong"))
    fails(grpc.StatusCode.UNAUTHENTICATED, stub.Ping, pb.PingRequest())
    fails(grpc.StatusCode.UNAUTHENTICATED, stub.StreamElixirTool, host_call("", "count_to", n=1))


def test_bytes_that_are_no_message(transport):
    channel = connect(transport)
    ping = channel.unary_unary("/snakepit.bridge.BridgeService/Ping")
    fails(grpc.StatusCode.INTERNAL, ping, b"\xff\xff\xff")
    nothing = channel.unary_unary("/snakepit.bridge.BridgeService/Nothing")
    fails(grpc.StatusCode.UNIMPLEMENTED, nothing, b"")


def test_large_messages(transport):
    limit = 32 << 20
    options = [("grpc.max_receive_message_length", limit), ("grpc.max_send_message_length", limit)]
    stub = stubs.BridgeServiceStub(connect(transport, options=options))
    answer = stub.ExecuteTool(
        pb.ExecuteToolRequest(
            tool_name="echo",
            payload=b"\xc6" + struct.pack(">I", 8 << 20) + b"x" * (8 << 20),
            encoding=pb.ENCODING_MSGPACK,
        )
    )
    assert len(answer.payload) == (8 << 20) + 5
