// Serves functions as tools of a snakepit worker: one file, which a project can copy.
'use strict';

const { once } = require('node:events');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const PROTO = process.env.SNAKEPIT_PROTO ?? path.join(__dirname, '../../../proto/snakepit_bridge.proto');
const definition = loader.loadSync(PROTO, { keepCase: true, longs: String, enums: String, defaults: true });
const { BridgeService } = grpc.loadPackageDefinition(definition).snakepit.bridge;

// Bytes have no JSON; in both directions they are {"$bytes": "<base64>"}.
const encode = (value) => Buffer.from(JSON.stringify(value, (_, item) =>
  item?.type === 'Buffer' && Array.isArray(item.data) ? { $bytes: Buffer.from(item.data).toString('base64') } : item) ?? 'null');
const decode = (text) => JSON.parse(text, (_, item) =>
  typeof item?.$bytes === 'string' && Object.keys(item).length === 1 ? Buffer.from(item.$bytes, 'base64') : item);

/** The functions of the host, for tools that run for a session. */
class Host {
  #client = process.env.SNAKEPIT_GRPC_ADDRESS &&
    new BridgeService(process.env.SNAKEPIT_GRPC_ADDRESS, grpc.credentials.createInsecure());

  /** Calls a host tool that is exposed to workers. */
  call(session, tool, args) {
    const type_url = 'type.googleapis.com/google.protobuf.StringValue';
    const parameters = Object.fromEntries(
      Object.entries(args).map(([name, value]) => [name, { type_url, value: encode(value) }]));
    return new Promise((resolve, reject) => {
      this.#client.ExecuteElixirTool({ session_id: session, tool_name: tool, parameters }, (error, answer) => {
        if (error) reject(error);
        else if (!answer.success) reject(new Error(answer.error_message));
        else resolve(decode(answer.result.value));
      });
    });
  }
}

/**
 * Serves `tools`, an object of `{ description, parameters, run(args, context) }` by name, where `parameters` is a JSON
 * Schema. A tool whose `run` is an async generator function streams its chunks. `sessionEnded(id)` is called after the
 * end of a session that the worker has had calls of.
 */
function serve(tools, { sessionEnded = () => {} } = {}) {
  const running = new Map();
  const listeners = new Set();
  const host = new Host();
  const streams = (tool) => tool.run.constructor.name === 'AsyncGeneratorFunction';

  /** Reports an event of a tool to the host. */
  const emit = (name, measurements = {}, metadata = {}) => {
    const numbers = Object.entries(measurements).map(([key, value]) => [key, { float_value: value }]);
    const event = { event_parts: name.split('.'), measurements: Object.fromEntries(numbers), metadata,
      timestamp_ns: String(Date.now() * 1e6) };
    for (const listener of listeners) listener.write(event);
  };

  /** Returns what runs a call; it throws if the call cannot run. */
  const prepare = (request) => {
    const tool = Object.hasOwn(tools, request.tool_name) ? tools[request.tool_name] : undefined;
    if (!tool) {
      throw Object.assign(new Error(`no tool is named ${request.tool_name}`), { code: 'SP2001' });
    }
    const args = (request.payload.length ? decode(request.payload) : null) ?? {};
    if (Array.isArray(args)) {
      throw Object.assign(new Error('arguments have names here'), { code: 'SP2008' });
    }
    const abort = new AbortController();
    running.set(request.call_id, abort);
    return { tool, result: () => tool.run(args, { session: request.session_id, signal: abort.signal, host, emit }) };
  };

  const failure = (error, cancelled) => ({
    code: cancelled ? 'SP3002' : /^SP[2378]\d{3}$/.test(error?.code) ? error.code : 'SP3001',
    type: error?.code?.startsWith?.('SP') ? '' : error?.name ?? 'Error',
    message: String(error?.message ?? error),
    traceback: error?.stack ?? '',
  });

  const service = {
    Ping: (call, answer) => answer(null, { message: `pong: ${call.request.message}` }),
    Describe: (_, answer) => answer(null, {
      protocol_version: 1,
      runtime: 'node',
      runtime_version: process.versions.node,
      slots: Number(process.env.SNAKEPIT_WORKER_SLOTS ?? 1),
      pid: process.pid,
      capabilities: ['json', 'stream', 'cancel', 'telemetry', 'sessions'],
      tools: Object.entries(tools).map(([name, tool]) => ({
        name,
        description: tool.description ?? '',
        parameters_schema: JSON.stringify(tool.parameters ?? { type: 'object' }),
        supports_streaming: streams(tool),
        is_async: true,
      })),
    }),
    async ExecuteTool({ request }, answer) {
      const { call_id } = request;
      try {
        const { tool, result } = prepare(request);
        if (streams(tool)) {
          throw Object.assign(new Error(`tool ${request.tool_name} returns a stream`), { code: 'SP2009' });
        }
        answer(null, { call_id, success: true, payload: encode(await result()), encoding: 'ENCODING_JSON' });
      } catch (error) {
        const cancelled = running.get(call_id)?.signal.aborted;
        answer(null, { call_id, success: false, error_message: String(error), error: failure(error, cancelled) });
      } finally {
        running.delete(call_id);
      }
    },
    async ExecuteStreamingTool(call) {
      const { request } = call;
      try {
        const { tool, result } = prepare(request);
        if (!streams(tool)) {
          throw Object.assign(new Error(`tool ${request.tool_name} returns no stream`), { code: 'SP2009' });
        }
        let number = 0;
        for await (const chunk of result()) {
          number += 1;
          const message = { chunk_id: `${request.tool_name}-${number}`, data: encode(chunk), encoding: 'ENCODING_JSON' };
          if (!call.write(message)) await once(call, 'drain');
          if (running.get(request.call_id)?.signal.aborted) break;
        }
        call.end();
      } catch (error) {
        const { type, ...rest } = failure(error, false);
        call.emit('error', { code: grpc.status.INTERNAL, details: JSON.stringify({ type: type || rest.code, ...rest }) });
      } finally {
        running.delete(request.call_id);
      }
    },
    CancelCall(call, answer) {
      running.get(call.request.call_id)?.abort();
      answer(null, {});
    },
    StreamTelemetry(call) {
      const leave = () => listeners.delete(call);
      listeners.add(call);
      call.on('data', () => {}).on('cancelled', leave).on('error', leave).on('end', () => call.end());
    },
    CleanupSession(call, answer) {
      sessionEnded(call.request.session_id);
      answer(null, { success: true });
    },
  };

  // The limit is that of one payload; a message has some more.
  const limit = Number(process.env.SNAKEPIT_WORKER_MAX_PAYLOAD ?? 64 << 20) * 2 + 65536;
  const server = new grpc.Server({ 'grpc.max_receive_message_length': limit, 'grpc.max_send_message_length': limit });
  server.addService(BridgeService.service, service);
  const address = `unix:${process.env.SNAKEPIT_WORKER_SOCKET}`;
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
  process.on('SIGTERM', () => {
    for (const listener of listeners) listener.end();
    server.tryShutdown(() => process.exit(0));
  });
}

module.exports = { serve };
