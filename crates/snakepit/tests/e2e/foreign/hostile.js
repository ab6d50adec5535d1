// Workers that misbehave, each in a way of its own.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [mode, argument] = process.argv.slice(2);
const definition = loader.loadSync(process.env.PROTO, { keepCase: true, longs: String, enums: String, defaults: true });
const { BridgeService } = grpc.loadPackageDefinition(definition).snakepit.bridge;

const json = (value) => ({ success: true, payload: Buffer.from(JSON.stringify(value)), encoding: 'ENCODING_JSON' });
const description = {
  protocol_version: 1,
  slots: Number(process.env.SLOTS ?? process.env.SNAKEPIT_WORKER_SLOTS),
  capabilities: ['json', 'stream'],
  tools: [{ name: 'pid' }, { name: 'act' }],
};
const service = {
  Ping: (_, answer) => answer(null, {}),
  Describe: (_, answer) => answer(null, description),
  ExecuteTool: (call, answer) => {
    if (call.request.tool_name === 'pid') return answer(null, json(process.pid));
    if (call.request.tool_name === 'socket') return answer(null, json(process.env.SNAKEPIT_WORKER_SOCKET));
    return act(call, answer);
  },
  ExecuteStreamingTool: (call) => {
    call.write({ data: Buffer.from('1') });
    call.write({ data: mode === 'large' ? Buffer.alloc(3 << 20, '1') : Buffer.from('{"a": NaN}') });
    setTimeout(() => call.end(), 20);
  },
};
let act = (_, answer) => answer(null, json(null));

const bind = (address, then = () => {}) => {
  const server = new grpc.Server();
  server.addService(BridgeService.service, service);
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    then(port);
  });
  return server;
};
const serve = () => bind(`unix:${process.env.SNAKEPIT_WORKER_SOCKET}`);

const modes = {
  good: serve,
  never: () => setInterval(() => {}, 1000),
  exits: () => process.exit(3),
  broken: () => require('no-such-package'),
  twice: () => bind('127.0.0.1:0', (port) => console.log(`GRPC_READY:${port}\nlog: GRPC_READY:${port - 1}`)),
  line: () => bind('127.0.0.1:0', (port) => console.error(`INFO ready GRPC_READY:${port}`)),
  file: () => bind('127.0.0.1:0', (port) => fs.writeFileSync(process.env.SNAKEPIT_READY_FILE, String(port))),
  claims: () => setInterval(() => {}, 1000) && fs.writeFileSync(process.env.SNAKEPIT_READY_FILE, argument),
  taken: () => bind(`127.0.0.1:${argument}`),
  flood: () => {
    const lines = 'a line of a worker that prints too much\n'.repeat(10000);
    for (let i = 0; i < 100; i += 1) fs.writeSync(1, lines);
    serve();
  },
  refuses: () => {
    service.Describe = (_, answer) => answer({ code: grpc.status.INTERNAL, details: 'not today' });
    serve();
  },
  unkind: () => {
    act = (_, answer) => answer({ code: grpc.status.UNIMPLEMENTED, details: 'no such rpc' });
    serve();
  },
  silent: () => {
    service.Describe = () => {};
    serve();
  },
  nameless: () => {
    description.tools = [{ name: 'a' }, { name: 'a' }];
    serve();
  },
  // As workers of the original library: no description, arguments and results in `Any`.
  original: () => {
    delete service.Describe;
    service.InitializeSession = (_, answer) => answer(null, { success: true });
    const any = (text) => ({ success: true, result: { type_url: 'type.googleapis.com/snakepit.any', value: Buffer.from(text) } });
    act = ({ request }, answer) => {
      const text = request.parameters.text?.value.toString();
      if (text) return answer(null, any(JSON.parse(text)));
      const data = request.binary_parameters.data;
      if (data) return answer(null, { success: true, result: { value: Buffer.from('{}') }, binary_result: data });
      const told = JSON.stringify({ type: 'ValueError', message: 'bad', traceback: 'here' });
      return answer(null, { success: false, error_message: request.session_id ? told : 'no session' });
    };
    serve();
  },
  bare: () => {
    act = (_, answer) => answer(null, { success: true, payload: Buffer.from('[1, NaN]'), encoding: 'ENCODING_JSON' });
    serve();
  },
  large: () => {
    act = (_, answer) => answer(null, json('x'.repeat(3 << 20)));
    serve();
  },
  stubborn: () => {
    process.on('SIGTERM', () => {});
    serve();
  },
  daemon: () => {
    act = (_, answer) => {
      const child = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
      child.unref();
      answer(null, json(child.pid));
    };
    serve();
  },
  hangs: () => {
    if (argument) fs.writeFileSync(argument, String(process.pid));
    act = () => {};
    serve();
  },
  dies: () => {
    act = () => process.kill(process.pid, 'SIGKILL');
    serve();
  },
  closes: () => {
    const server = serve();
    setInterval(() => {}, 1000);
    act = () => server.forceShutdown();
  },
};
modes[mode]();
