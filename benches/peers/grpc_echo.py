"""A `grpc.aio` server whose Ping returns the received bytes: the link of the original."""

import asyncio
import json
import sys

try:
    import grpc
except ImportError as error:
    print(json.dumps({"missing": str(error)}), flush=True)
    raise SystemExit(0) from None


async def ping(request, _context):
    """Return the received bytes; the fields of both messages begin the same way."""
    return request


async def main(address: str) -> None:
    """Serve until stdin ends."""
    server = grpc.aio.server()
    handlers = {"Ping": grpc.unary_unary_rpc_method_handler(ping)}
    service = "snakepit.bridge.BridgeService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    server.add_insecure_port(address)
    await server.start()
    print(json.dumps({"ready": True}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


asyncio.run(main(sys.argv[1]))
