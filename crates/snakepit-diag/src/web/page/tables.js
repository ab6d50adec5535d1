// Overview, findings, workers, slow calls and deaths.

// The SVG namespace: a name that is never requested.
const SVG = ['http', '//www.w3.org/2000/svg'].join(':');
const SLOW = 50;
const sorting = { column: null, down: true };

function drawOverview() {
  const report = model.report;
  const host = report ? report.host : null;
  const name = host ? host.program.split('/').pop() : '';
  setText(byId('host'), host ? `${name}, pid ${host.pid}, up ${seconds(host.uptime_seconds)}, snakepit ${host.version}` : `run ${model.run}`);
  document.title = name ? `snakepit: ${name}` : 'snakepit';
  const machine = report ? report.machine : null;
  const run = model.run ? `Run ${model.run}. ` : '';
  setText(
    byId('machine'),
    machine ? `${run}${machine.cpus} processors, ${bytes(machine.memory_available_bytes)} of ${bytes(machine.memory_bytes)} memory free.` : `${run}The host did not run any more: this is what it has recorded.`,
  );
  const pools = report ? report.pools : [...model.pools.keys()].map((pool) => ({ pool }));
  keyed(byId('pools'), pools, (pool) => pool.pool, makeCard, updateCard);
}

function makeCard(pool) {
  const title = el('h3', {}, el('b', { text: pool.pool }), el('span'));
  const gauge = el('div', { className: 'gauge', role: 'meter', 'aria-label': `Slots of ${pool.pool}`, 'aria-valuemin': '0' }, el('div'));
  const chart = document.createElementNS(SVG, 'svg');
  chart.setAttribute('class', 'chart');
  chart.setAttribute('viewBox', '0 0 120 30');
  chart.setAttribute('preserveAspectRatio', 'none');
  chart.setAttribute('role', 'img');
  chart.append(document.createElementNS(SVG, 'polyline'));
  return el('div', { className: 'card' }, title, gauge, el('dl'), chart);
}

function updateCard(card, pool) {
  const [title, gauge, list, chart] = card.children;
  const calls = callsOf(pool.pool);
  const live = pool.capacity_total !== undefined;
  setText(title.lastChild, live ? `${pool.state}, ${pool.worker_count} of ${pool.target} workers` : 'recorded');
  gauge.hidden = !live;
  if (live) {
    const percent = pool.utilization_percent;
    const band = percent >= 90 ? 'critical' : percent >= 80 ? 'high' : percent >= 60 ? 'moderate' : 'low';
    gauge.className = `gauge ${band}`;
    gauge.firstChild.style.width = `${percent}%`;
    gauge.setAttribute('aria-valuenow', pool.capacity_used);
    gauge.setAttribute('aria-valuemax', pool.capacity_total);
  }
  const trend = model.trends[pool.pool];
  chart.toggleAttribute('hidden', !trend);
  if (trend) {
    const most = Math.max(1, ...trend.rate);
    const points = trend.rate.map((rate, i) => `${(i / 119) * 120},${29 - (rate / most) * 28}`);
    chart.firstChild.setAttribute('points', points.join(' '));
    chart.setAttribute('aria-label', `Calls a second of ${pool.pool}, at most ${Math.round(most)}`);
  }
  keyed(list, live ? facts(pool, trend) : recorded(calls), (fact) => fact[0], (fact) => el('div', {}, el('dt', { text: fact[0] }), el('dd')), (row, fact) => setText(row.lastChild, fact[1]));
}

function facts(pool, trend) {
  const counters = pool.counters;
  const failed = counters.errors + counters.call_timeouts + counters.queue_timeouts + counters.saturated;
  const rate = trend && trend.rate.length ? `, ${trimmed(trend.rate[trend.rate.length - 1])}/s` : '';
  const found = [
    ['Slots', `${pool.capacity_used} of ${pool.capacity_total} taken`],
    ['Queue', `${pool.queue.depth} of ${pool.queue.limit}`],
    ['Calls', `${counters.requests}${rate}`],
    ['Failed', `${failed}`],
    ['Service', times(pool.service_time)],
    ['Wait', times(pool.queue_time)],
    ['Memory', pool.memory ? bytes(pool.memory.total_bytes) : '–'],
    ['Restarted, recycled', `${counters.restarts}, ${counters.recycled}`],
  ];
  if (pool.queue_by_session.length) {
    const waiting = pool.queue_by_session.map((queue) => `${queue.session ?? 'no session'} ${queue.depth}`);
    found.push(['Waiting by session', waiting.join(', ')]);
  }
  return found;
}

function recorded(calls) {
  const outcomes = new Map();
  for (const call of calls) outcomes.set(call.outcome, (outcomes.get(call.outcome) || 0) + 1);
  return [['Calls', `${calls.length}`], ...[...outcomes].map(([outcome, n]) => [outcome, `${n}`])];
}

function times(of) {
  return of.count ? `${seconds(of.p50_us / 1e6)}, 99 % ${seconds(of.p99_us / 1e6)}` : '–';
}

function drawFindings() {
  setText(byId('n-findings'), model.findings.length ? `${model.findings.length}` : '');
  const found = model.findings.length ? model.findings : [{ rule: 'none', pool: '', what: 'Nothing is wrong.', why: '', action: '' }];
  keyed(
    byId('finding-list'),
    found,
    (one) => `${one.rule} ${one.pool} ${one.worker || ''}`,
    () => el('li', {}, el('div', {}, el('b'), el('span')), el('div', { className: 'faint' }), el('div')),
    (item, one) => {
      item.className = one.severity || '';
      setText(item.children[0].children[0], one.severity ? `${one.severity}: ` : '');
      setText(item.children[0].children[1], one.what);
      setText(item.children[1], one.why ? `Why: ${one.why}.` : '');
      setText(item.children[2], one.action ? `Do: ${one.action}.` : '');
    },
  );
}

// Columns of the workers: title, sort key, text, class.
const WORKER = [
  ['Worker', (row) => row.worker.id, (row) => row.worker.id, ''],
  ['Status', (row) => row.worker.status, (row) => row.worker.status, ''],
  ['Tool', (row) => (row.call ? row.call.tool : ''), (row) => (row.call ? row.call.tool + (row.calls > 1 ? ` +${row.calls - 1}` : '') : '–'), 'text'],
  ['Age', (row) => (row.call ? row.call.age_seconds : -1), (row) => (row.call ? seconds(row.call.age_seconds) : '–'), 'num'],
  ['Left', (row) => (row.call ? row.call.left_seconds ?? Infinity : Infinity), leftOf, 'num'],
  ['CPU', (row) => model.cpu[row.worker.id] ?? -1, (row) => (row.worker.id in model.cpu ? `${Math.round(model.cpu[row.worker.id])} %` : '–'), 'num'],
  ['Memory', (row) => row.worker.memory_bytes ?? -1, (row) => bytes(row.worker.memory_bytes), 'num'],
  ['Calls', (row) => row.worker.calls, (row) => `${row.worker.calls}`, 'num'],
  ['Gen', (row) => row.worker.generation, (row) => `${row.worker.generation}`, 'num'],
  ['Up', (row) => row.worker.age_seconds, (row) => seconds(row.worker.age_seconds), 'num'],
  ['Trouble', (row) => troubleOf(row.worker), (row) => troubleOf(row.worker), 'text warn'],
];

function leftOf(row) {
  const left = row.call ? row.call.left_seconds : null;
  if (left === null || left === undefined) return '–';
  return left < 0 ? 'over' : seconds(left);
}

function troubleOf(worker) {
  const words = [];
  if (worker.held_seconds !== null) words.push(`GIL held ${seconds(worker.held_seconds)}`);
  if (worker.flat_seconds !== null) words.push(`no CPU time for ${seconds(worker.flat_seconds)}`);
  if (worker.heartbeat_misses) words.push(`${worker.heartbeat_misses} missed`);
  if (worker.unhealthy !== null) words.push(`unhealthy: ${worker.unhealthy}`);
  if (worker.recycling) words.push(`replaced: ${worker.recycling}`);
  if (worker.last_death) words.push(`${seconds(now() - worker.last_death.at)} ago ${worker.last_death.exit}`);
  return words.join(', ');
}

function workerRows() {
  const rows = [];
  for (const pool of model.report ? model.report.pools : []) {
    const calls = new Map();
    for (const call of pool.calls) {
      const known = calls.get(call.worker);
      if (known) known.calls += 1;
      else calls.set(call.worker, { call, calls: 1 });
    }
    for (const worker of pool.workers) rows.push({ pool: pool.pool, worker, ...(calls.get(worker.id) || { call: null, calls: 0 }) });
  }
  return rows;
}

function drawWorkers() {
  const filter = byId('filter').value;
  const all = workerRows();
  const rows = all.filter((row) => `${row.worker.id} ${row.pool} ${row.call ? row.call.tool : ''} ${row.worker.status}`.includes(filter));
  if (sorting.column !== null) {
    const value = WORKER[sorting.column][1];
    const order = sorting.down ? -1 : 1;
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      return order * (typeof x === 'string' ? natural.compare(x, y) : x - y || 0);
    });
  }
  setText(byId('n-workers'), filter ? `${rows.length} of ${all.length}` : `${all.length}`);
  table(byId('worker-table'), [...WORKER.map(([title, , , kind]) => [title, kind]), ['', '']], rows, (row) => row.worker.id, makeWorker, updateWorker, sortBy);
}

function makeWorker(row) {
  const cells = WORKER.map(([, , , kind]) => el('td', { className: kind }));
  const id = row.worker.id;
  const stack = el('button', { type: 'button', text: 'Stack', 'aria-label': `Stacks of ${id}`, onclick: () => showStacks(id) });
  const logs = el('button', { type: 'button', text: 'Logs', 'aria-label': `What ${id} has written`, onclick: () => showLogs(id) });
  const asked = el('td', {}, ...(model.live ? [stack, logs] : model.stacks.has(id) ? [stack] : []));
  return el('tr', {}, ...cells, asked);
}

function updateWorker(line, row) {
  WORKER.forEach(([, , text], i) => setText(line.children[i], text(row)));
  line.children[1].className = row.worker.status === 'busy' ? 'busy' : '';
  line.children[4].className = leftOf(row) === 'over' ? 'num bad' : 'num';
}

function sortBy(column) {
  if (column >= WORKER.length) return;
  sorting.down = sorting.column === column ? !sorting.down : column > 2;
  sorting.column = column;
  drawWorkers();
}

// Fills a table. Its head is created once.
function table(element, titles, rows, keyOf, make, update, sort) {
  if (!element.tHead) {
    const cells = titles.map(([title, kind], i) => el('th', { scope: 'col', className: kind.includes('num') ? 'num' : '' }, sort && title ? el('button', { type: 'button', text: title, onclick: () => sort(i) }) : title));
    element.append(el('thead', {}, el('tr', {}, ...cells)), el('tbody'));
  }
  if (sort) {
    [...element.tHead.rows[0].cells].forEach((cell, i) => {
      if (i === sorting.column) cell.setAttribute('aria-sort', sorting.down ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    });
  }
  const [body] = element.tBodies;
  if (rows.length) {
    keyed(body, rows, keyOf, make, update);
  } else {
    const none = () => el('tr', {}, el('td', { className: 'empty', colspan: String(titles.length), text: 'None.' }));
    keyed(body, [0], () => 'none', none, () => {});
  }
}

function slowCalls() {
  const took = (call) => endOf(call) - call.at;
  const byTime = (a, b) => took(b) - took(a);
  let slow = [];
  let least = -Infinity;
  for (const pool of model.pools.values()) {
    for (const call of pool.calls.values()) {
      if (took(call) <= least) continue;
      slow.push(call);
      if (slow.length < 2 * SLOW) continue;
      slow = slow.sort(byTime).slice(0, SLOW);
      least = took(slow[SLOW - 1]);
    }
  }
  return slow.sort(byTime).slice(0, SLOW);
}

function drawSlow() {
  const titles = [['Call', 'num'], ['Pool', ''], ['Tool', 'text'], ['Worker', ''], ['When', ''], ['Waited', 'num'], ['Took', 'num'], ['Outcome', ''], ['', '']];
  table(byId('slow-table'), titles, slowCalls(), (call) => `${call.pool} ${call.number}`, makeSlow, updateSlow);
}

function makeSlow() {
  const cells = ['num', '', 'text', '', '', 'num', 'num', '', ''].map((kind) => el('td', { className: kind }));
  return el('tr', {}, ...cells);
}

function updateSlow(line, call) {
  const running = isRunning(call);
  const unended = `${seconds(endOf(call) - call.at)} ${running ? 'so far' : 'or more'}`;
  const texts = [
    `${call.number}`,
    call.pool,
    call.items > 1 ? `${call.tool} (${call.items} items)` : call.tool,
    call.worker || '–',
    moment(call.at).slice(11),
    seconds(call.queued),
    call.took === null ? unended : seconds(call.took),
    `${call.outcome}${call.code ? ` ${call.code}` : ''}`,
  ];
  texts.forEach((text, i) => setText(line.children[i], text));
  line.children[7].className = running ? 'busy' : call.outcome === 'ok' ? '' : 'bad';
  const asked = line.children[8];
  const wanted = running && (model.live || model.stacks.has(call.worker));
  if (wanted && !asked.firstChild) {
    asked.append(el('button', { type: 'button', text: 'Stack', 'aria-label': `Stack of call ${call.number}`, onclick: () => showStacks(call.worker) }));
  } else if (!wanted) {
    asked.replaceChildren();
  }
}

function drawDeaths() {
  const found = deaths();
  if (!found.length) {
    keyed(byId('death-list'), [0], () => 'none', () => el('p', { className: 'faint', text: 'No worker died.' }), () => {});
    return;
  }
  keyed(
    byId('death-list'),
    found,
    (death) => `${death.worker} ${death.at}`,
    (death) => el('details', {}, el('summary', { text: `${moment(death.at)}: ${death.worker} after ${death.calls} calls: ${death.exit} (${death.cause})` }), el('pre')),
    (item, death) => setText(item.lastChild, death.output || 'It had written nothing.'),
  );
}
