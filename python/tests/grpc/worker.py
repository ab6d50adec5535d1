"""A worker on grpcio that speaks as the workers of the original library do.

It does not describe itself, takes its arguments from `parameters`, answers in `result`, and reaches
its host at `--elixir-address`. `crates/snakepit/tests/e2e/foreign/grpcio.rs` runs it.
"""

import argparse
import json
import os
import signal
import threading
import time
import traceback
from concurrent import futures

import grpc
import snakepit_bridge_pb2 as pb
import snakepit_bridge_pb2_grpc as stubs
from google.protobuf import any_pb2

EVENTS = threading.Condition()
WAITING = []


def decode(any_):
    return json.loads(any_.value)


def encode(value, kind=None):
    kind = kind or type(value).__name__
    text = json.dumps(value).encode()
    return any_pb2.Any(type_url=f"type.googleapis.com/snakepit.{kind}", value=text)


def emit(name, **measurements):
    event = pb.TelemetryEvent(event_parts=name.split("."), timestamp_ns=time.time_ns())
    for key, value in measurements.items():
        event.measurements[key].int_value = value
    with EVENTS:
        WAITING.append(event)
        EVENTS.notify_all()


class Tools:
    def __init__(self, host, threads):
        self.host, self.max_workers = host, threads

    def threads(self, session):
        return self.max_workers

    def long_answer(self, session):
        request = pb.ExecuteElixirToolRequest(session_id=session, tool_name="long")
        request.parameters["name"].CopyFrom(encode("x", "string"))
        answer = self.host.ExecuteElixirTool(request)
        if not answer.success:
            raise RuntimeError(f"{answer.metadata['error_code']}: {answer.error_message}")
        return len(decode(answer.result))

    def add(self, session, a, b):
        return a + b

    def echo(self, session, value):
        return value

    def fail(self, session, message):
        raise ValueError(message)

    def sleep(self, session, seconds):
        time.sleep(seconds)  # the tool sleeps

    def session(self, session):
        return session

    def shout(self, session, name):
        request = pb.ExecuteElixirToolRequest(session_id=session, tool_name="greet")
        request.parameters["name"].CopyFrom(encode(name, "string"))
        answer = self.host.ExecuteElixirTool(request)
        if not answer.success:
            raise RuntimeError(answer.error_message)
        emit("tool.shout", length=len(name))
        return decode(answer.result).upper()


class Worker(stubs.BridgeServiceServicer):
    def __init__(self, host, threads):
        self.host, self.tools = host, Tools(host, threads)
        self.registered = set()

    def register(self, session):
        """Registers the tools in the first call of a session, as the original library does."""
        if session in self.registered:
            return
        self.registered.add(session)
        request = pb.RegisterToolsRequest(session_id=session, worker_id=f"python-{id(self)}")
        for name in vars(Tools):
            if not name.startswith("_"):
                request.tools.add(name=name, description=name)
        request.tools.add(name="count", supports_streaming=True)
        answer = self.host.RegisterTools(request)
        assert answer.success or "duplicate_tool" in answer.error_message, answer.error_message

    def Ping(self, request, context):
        return pb.PingResponse(message=f"Pong from Python: {request.message}")

    def InitializeSession(self, request, context):
        return self.host.InitializeSession(request)

    def ExecuteTool(self, request, context):
        self.host.InitializeSession(pb.InitializeSessionRequest(session_id=request.session_id))
        self.register(request.session_id)
        args = {name: decode(value) for name, value in request.parameters.items()}
        args.update(request.binary_parameters)
        try:
            if not hasattr(Tools, request.tool_name):
                raise AttributeError(f"no tool {request.tool_name}")
            result = getattr(self.tools, request.tool_name)(request.session_id, **args)
        except Exception as error:
            told = {
                "type": type(error).__name__,
                "message": str(error),
                "traceback": traceback.format_exc(),
            }
            return pb.ExecuteToolResponse(success=False, error_message=json.dumps(told))
        if isinstance(result, bytes):
            empty = encode({}, "binary")
            return pb.ExecuteToolResponse(success=True, result=empty, binary_result=result)
        return pb.ExecuteToolResponse(success=True, result=encode(result))

    def ExecuteStreamingTool(self, request, context):
        n = decode(request.parameters["n"])
        for i in range(n):
            data = json.dumps(i).encode()
            yield pb.ToolChunk(chunk_id=f"{request.tool_name}-{i + 1}", data=data)
        yield pb.ToolChunk(chunk_id=f"{request.tool_name}-{n + 1}", is_final=True)

    def StreamTelemetry(self, controls, context):
        context.add_callback(lambda: emit("python.ended"))
        while context.is_active():
            with EVENTS:
                EVENTS.wait_for(lambda: WAITING)
                events, WAITING[:] = list(WAITING), []
            yield from events


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--elixir-address", required=True)
    parser.add_argument("--max-workers", type=int, default=8)
    parser.add_argument("--ready", choices=["file", "line", "none"], default="file")
    parser.add_argument("--adapter")
    parser.add_argument("--plain", action="store_true", help="set no authority for the host")
    options = parser.parse_args()
    authority = [] if options.plain else [("grpc.default_authority", "localhost")]
    channel = grpc.insecure_channel(options.elixir_address, options=authority)
    host = stubs.BridgeServiceStub(channel)
    assert host.Ping(pb.PingRequest(message="connection_test"), timeout=30).message
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(options.max_workers), options=limits)
    stubs.add_BridgeServiceServicer_to_server(Worker(host, options.max_workers), server)
    port = server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    signal.signal(
        signal.SIGTERM, lambda *_: threading.Thread(target=server.stop, args=(0.2,)).start()
    )
    if options.ready == "line":
        print(f"INFO server: GRPC_READY:{port}", flush=True)
    elif options.ready == "file":
        path = os.environ["SNAKEPIT_READY_FILE"]
        with open(path + ".tmp", "w") as file:
            file.write(str(port))
        os.rename(path + ".tmp", path)
    server.wait_for_termination()
    os._exit(0)


if __name__ == "__main__":
    main()
