"""Tokens, malformed and large messages."""

import os
import struct

import grpc
import snakepit_bridge_pb2 as pb
import snakepit_bridge_pb2_grpc as stubs
from conftest import connect
from relay import GOAWAY, PING, Relay
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


def test_a_client_that_rests_with_keepalive_stays_connected(transport):
    """Other servers answer pings that come too often with GOAWAY: three of them, by default."""
    options = [
        ("grpc.keepalive_time_ms", 20),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with Relay(os.environ[f"SNAKEPIT_GRPC_{transport.upper()}"]) as relay:
        channel = connect(transport, options=options, target=relay.target)
        stub = stubs.BridgeServiceStub(channel)
        stub.Ping(pb.PingRequest(), wait_for_ready=True, timeout=30)
        relay.wait_for(PING, 5)
        stub.Ping(pb.PingRequest())
        assert (relay.connections, relay.answers[GOAWAY]) == (1, 0)
        assert relay.answers[PING] > 0
        channel.close()
