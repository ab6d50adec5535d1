"""A pure grpcio client of a served host.

`crates/snakepit-grpc/tests/grpcio.rs` starts the host, generates the stubs and runs these tests.
"""

import os

import pytest

SERVED = "SNAKEPIT_GRPC_TCP" in os.environ

if not SERVED:
    collect_ignore_glob = ["test_*.py"]
else:
    import grpc
    import snakepit_bridge_pb2 as pb
    import snakepit_bridge_pb2_grpc as stubs

    class Bearer(
        grpc.UnaryUnaryClientInterceptor,
        grpc.UnaryStreamClientInterceptor,
        grpc.StreamUnaryClientInterceptor,
        grpc.StreamStreamClientInterceptor,
    ):
        """Adds metadata to every call."""

        def __init__(self, metadata):
            self.metadata = metadata

        def _call(self, continuation, details, request):
            metadata = [*(details.metadata or ()), *self.metadata]
            return continuation(details._replace(metadata=metadata), request)

        intercept_unary_unary = _call
        intercept_unary_stream = _call
        intercept_stream_unary = _call
        intercept_stream_stream = _call

    def connect(transport, *, token=None, options=(), target=None):
        """Open a channel to the host, or to a proxy before it, with the token if needed."""
        target = target or os.environ[f"SNAKEPIT_GRPC_{transport.upper()}"]
        if transport == "unix":
            options = [("grpc.default_authority", "localhost"), *options]
            return grpc.insecure_channel(target, options=options)
        token = token or os.environ["SNAKEPIT_GRPC_TOKEN"]
        bearer = Bearer([("authorization", f"Bearer {token}")])
        channel = grpc.insecure_channel(target, options=list(options))
        return grpc.intercept_channel(channel, bearer)

    @pytest.fixture(params=["tcp", "unix"])
    def transport(request):
        return request.param

    @pytest.fixture
    def stub(transport):
        return stubs.BridgeServiceStub(connect(transport))

    @pytest.fixture
    def session(stub, request, transport):
        name = f"{transport}-{request.node.originalname}"
        assert stub.InitializeSession(pb.InitializeSessionRequest(session_id=name)).success
        yield name
        stub.CleanupSession(pb.CleanupSessionRequest(session_id=name))
