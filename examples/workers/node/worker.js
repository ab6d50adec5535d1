// A worker in Node: tools are functions of their arguments.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { serve } = require('./snakepit');

const number = { type: 'number' };
const object = (properties) => ({ type: 'object', properties, required: Object.keys(properties) });

const counts = new Map();

const tools = {
  add: {
    description: 'Adds two numbers.',
    parameters: object({ a: number, b: number }),
    run: ({ a, b }) => a + b,
  },
  mean: {
    description: 'Returns the mean of numbers.',
    parameters: object({ xs: { type: 'array', items: number } }),
    run: ({ xs }) => xs.reduce((sum, x) => sum + x, 0) / xs.length,
  },
  echo: {
    description: 'Returns its argument.',
    parameters: object({ value: {} }),
    run: ({ value }) => value,
  },
  count: {
    description: 'Streams the numbers below n.',
    parameters: object({ n: { type: 'integer' } }),
    async *run({ n }, { signal }) {
      for (let i = 0; i < n && !signal.aborted; i += 1) yield i;
    },
  },
  sleep: {
    description: 'Waits; a cancelled call ends at once.',
    parameters: object({ seconds: number }),
    run: async ({ seconds }, { signal }) => {
      await sleep(seconds * 1000, undefined, { signal });
      return seconds;
    },
  },
  fail: {
    description: 'Throws an error.',
    parameters: object({ message: { type: 'string' } }),
    run: ({ message }) => {
      throw new RangeError(message);
    },
  },
  visits: {
    description: 'Counts the calls of a session, in the memory of this worker.',
    run: (_, { session }) => {
      counts.set(session, (counts.get(session) ?? 0) + 1);
      return { visits: counts.get(session), sessions: counts.size };
    },
  },
  shout: {
    description: 'Lets the host tool `greet` greet a name, and reports an event.',
    parameters: object({ name: { type: 'string' } }),
    run: async ({ name }, { session, host, emit }) => {
      const greeting = await host.call(session, 'greet', { name });
      emit('tool.shout', { length: greeting.length }, { name });
      return greeting.toUpperCase();
    },
  },
};

serve(tools, { sessionEnded: (id) => counts.delete(id) });
