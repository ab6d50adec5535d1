// The data of the host.

// Maximum number of calls kept for each pool while the page is live.
const KEPT = 20000;

const model = {
  live: false,
  run: '',
  made: 0,
  report: null,
  findings: [],
  trends: {},
  cpu: {},
  // Calls by number, and deaths, by name of the pool.
  pools: new Map(),
  // Stacks by worker.
  stacks: new Map(),
  // Profiles of a report, by name of the pool.
  profiles: new Map(),
};

function poolOf(name) {
  let pool = model.pools.get(name);
  if (!pool) {
    pool = { calls: new Map(), deaths: [], last: 0 };
    model.pools.set(name, pool);
  }
  return pool;
}

// Adds calls that are encoded as columns. A column of equal values is encoded as that value.
function addCalls(name, columns) {
  const calls = poolOf(name).calls;
  const at = (column, i) => (Array.isArray(column) ? column[i] : column);
  let number = 0;
  let time = 0;
  for (let i = 0; i < columns.n; i += 1) {
    number += at(columns.call, i);
    time += at(columns.at, i);
    const queued = at(columns.queued, i) / 1e6;
    const took = at(columns.took, i);
    const begun = columns.from + time / 1e6;
    calls.set(number, {
      number,
      pool: name,
      tool: columns.tools[at(columns.tool, i)],
      worker: columns.workers[at(columns.worker, i)],
      slot: at(columns.slot, i),
      at: begun,
      queued,
      sent: begun + queued + at(columns.unsent, i) / 1e6,
      took: took < 0 ? null : took / 1e6,
      outcome: columns.outcomes[at(columns.outcome, i)],
      code: columns.codes[at(columns.code, i)],
      attempts: at(columns.attempts, i),
      items: at(columns.items, i),
      bytesIn: at(columns.bytes_in, i),
      bytesOut: at(columns.bytes_out, i),
    });
  }
  // A map iterates in the order of insertion, so the oldest calls come first.
  for (const old of calls.keys()) {
    if (calls.size <= KEPT || !model.live) break;
    calls.delete(old);
  }
}

function addStacks(stacks) {
  for (const one of stacks) model.stacks.set(one.worker, one);
}

function addDocument(data) {
  model.live = data.live === true;
  model.run = data.run || '';
  model.made = data.made || 0;
  model.version = data.version || '';
  model.report = data.report || null;
  model.findings = data.findings || [];
  for (const pool of data.pools || []) {
    addCalls(pool.pool, pool.calls);
    Object.assign(poolOf(pool.pool), { deaths: pool.deaths, last: pool.last });
  }
  addStacks(data.stacks || []);
  for (const one of data.profiles || []) model.profiles.set(one.pool, one.profile);
}

function addLook(look) {
  model.report = look.report;
  model.findings = look.findings || [];
  model.trends = look.trends || {};
  model.cpu = look.cpu || {};
  if (look.report) {
    model.run = look.report.host.run || '';
    model.made = look.report.at;
    for (const pool of look.report.pools) poolOf(pool.pool);
  }
}

// Returns the time of the latest data, in seconds since 1970.
function now() {
  return model.report ? model.report.at : model.made;
}

const isRunning = (call) => call.outcome === 'running';

// Returns the end of a call, the time of the latest data if it runs, or that of the last event of a
// dead host that cut it.
function endOf(call) {
  if (call.took !== null) return call.at + call.took;
  return Math.max(isRunning(call) ? now() : poolOf(call.pool).last, call.sent);
}

// Returns the deaths of all pools, newest first. Recorded deaths include the worker's last output.
function deaths() {
  const all = new Map();
  for (const pool of model.report ? model.report.pools : []) {
    for (const death of pool.deaths) all.set(`${death.worker} ${death.at}`, death);
  }
  for (const pool of model.pools.values()) {
    for (const death of pool.deaths) all.set(`${death.worker} ${death.at}`, death);
  }
  return [...all.values()].sort((a, b) => b.at - a.at);
}
