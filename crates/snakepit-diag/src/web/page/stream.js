// The task stream: one lane for each slot of a worker.

const stream = {
  pool: '',
  // Start of the view in seconds since 1970. Null shows everything and follows new calls.
  from: null,
  to: null,
  // Number of the selected call.
  selected: null,
  lanes: [],
  // Colours by tool.
  colours: new Map(),
};

const LANE = 18;
const GAP = 4;
const LABEL = 96;
const AXIS = 20;
const LANES = 200;
const HUES = [212, 28, 142, 280, 340, 182, 52, 250, 100, 0];

function callsOf(name) {
  const pool = model.pools.get(name);
  return pool ? [...pool.calls.values()] : [];
}

const natural = new Intl.Collator('en', { numeric: true });

// Assigns the calls of the pool to lanes, in the order in which they were sent.
function arrange() {
  const names = [...model.pools.keys()];
  if (!names.includes(stream.pool)) stream.pool = names[0] || '';
  const lanes = new Map();
  const tools = new Set();
  stream.first = Infinity;
  stream.last = -Infinity;
  for (const call of callsOf(stream.pool)) {
    if (!call.worker) continue;
    const key = `${call.worker} ${call.slot}`;
    if (!lanes.has(key)) lanes.set(key, { worker: call.worker, slot: call.slot, calls: [] });
    lanes.get(key).calls.push(call);
    tools.add(call.tool);
    stream.first = Math.min(stream.first, call.at);
    stream.last = Math.max(stream.last, endOf(call));
  }
  const all = [...lanes.values()];
  for (const lane of all) lane.calls.sort((a, b) => a.sent - b.sent);
  all.sort((a, b) => natural.compare(a.worker, b.worker) || a.slot - b.slot);
  stream.more = Math.max(0, all.length - LANES);
  // If there are too many lanes, shows those of the youngest workers.
  stream.lanes = all.slice(-LANES);
  const lightness = matchMedia('(prefers-color-scheme: dark)').matches ? 62 : 42;
  const colour = (place) => `hsl(${HUES[place % HUES.length]} 65% ${lightness}%)`;
  stream.colours = new Map([...tools].sort().map((tool, place) => [tool, colour(place)]));
}

function range() {
  const whole = [stream.first, Math.max(stream.last, stream.first + 1e-6)];
  return stream.from === null ? whole : [stream.from, stream.to];
}

function drawStream() {
  arrange();
  const pools = [...model.pools.keys()];
  keyed(byId('stream-pool'), pools, (name) => name, (name) => el('option', { text: name, value: name }), () => {});
  byId('stream-pool').value = stream.pool;
  keyed(
    byId('legend'),
    [...stream.colours.keys()],
    (tool) => tool,
    (tool) => el('li', {}, el('i'), el('span', { text: tool })),
    (item, tool) => {
      item.firstChild.style.background = stream.colours.get(tool);
    },
  );
  paint();
  describe();
}

function paint() {
  const canvas = byId('lanes');
  const width = Math.max(240, canvas.parentElement.clientWidth);
  const height = Math.max(3, stream.lanes.length) * (LANE + GAP) + AXIS;
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const g = canvas.getContext('2d');
  const style = getComputedStyle(document.documentElement);
  const names = ['--ink', '--faint', '--bad', '--wait', '--lane'];
  const values = new Map(names.map((name) => [name, style.getPropertyValue(name).trim()]));
  const of = (name) => values.get(name);
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  g.textBaseline = 'middle';
  if (!stream.lanes.length) {
    g.fillStyle = of('--faint');
    g.fillText('No calls yet.', 8, 20);
    return;
  }
  const [from, to] = range();
  const x = (at) => LABEL + ((at - from) / (to - from)) * (width - LABEL);
  stream.x = x;
  stream.lanes.forEach((lane, row) => {
    const y = AXIS + row * (LANE + GAP);
    g.fillStyle = of('--lane');
    g.fillRect(LABEL, y, width - LABEL, LANE);
    g.fillStyle = of('--ink');
    const label = printable(lane.slot ? `${lane.worker}/${lane.slot}` : lane.worker);
    g.fillText(label.length > 13 ? `…${label.slice(-12)}` : label, 4, y + LANE / 2);
    // A call that begins in an already painted column is not painted again.
    let painted = -1;
    for (const call of lane.calls) {
      const end = endOf(call);
      if (end < from || call.at > to) continue;
      const left = Math.max(LABEL, x(call.sent));
      const right = Math.max(left + 1, Math.min(width, x(end)));
      if (call.queued > 0) {
        const begin = Math.max(LABEL, x(call.at));
        if (left - begin >= 1) {
          g.fillStyle = of('--wait');
          g.fillRect(begin, y, left - begin, LANE / 3);
          g.strokeStyle = of('--faint');
          g.lineWidth = 0.5;
          g.strokeRect(begin, y + 0.25, left - begin, LANE / 3);
        }
      }
      if (right <= painted) continue;
      painted = right;
      g.fillStyle = stream.colours.get(call.tool);
      g.fillRect(left, y + LANE / 3, right - left, (LANE * 2) / 3);
      if (call.outcome !== 'ok' && !isRunning(call)) {
        g.fillStyle = of('--bad');
        g.fillRect(Math.max(left, right - 3), y, 3, LANE);
      }
    }
    const selected = lane.calls.find((call) => call.number === stream.selected);
    if (selected) {
      g.strokeStyle = of('--ink');
      g.lineWidth = 2;
      const left = Math.max(LABEL, x(selected.at));
      g.strokeRect(left - 1, y - 1, Math.max(4, x(endOf(selected)) - left) + 2, LANE + 2);
    }
  });
  axis(g, of, width, from, to, x);
}

// Draws the times at the top, from the start of the view.
function axis(g, of, width, from, to, x) {
  g.fillStyle = of('--faint');
  const n = Math.max(2, Math.floor((width - LABEL) / 140));
  for (let i = 0; i < n; i += 1) {
    const at = from + ((to - from) * i) / n;
    g.fillText(i ? `+${seconds(at - from)}` : moment(from).slice(11), x(at) + 2, AXIS / 2);
    g.fillRect(x(at), AXIS - 4, 1, 4);
  }
}

function selectedPlace() {
  for (const [row, lane] of stream.lanes.entries()) {
    const place = lane.calls.findIndex((call) => call.number === stream.selected);
    if (place >= 0) return [row, place];
  }
  return null;
}

function describe() {
  const place = selectedPlace();
  const more = stream.more ? `${stream.more} lanes have no room. ` : '';
  if (!place) {
    setText(byId('stream-call'), more);
    return;
  }
  const call = stream.lanes[place[0]].calls[place[1]];
  const unended = `${isRunning(call) ? 'runs' : 'ran'} for ${seconds(endOf(call) - call.sent)}`;
  const ran = call.took === null ? unended : `took ${seconds(call.took)}`;
  const code = call.code ? ` ${call.code}` : '';
  setText(
    byId('stream-call'),
    `${more}Call ${call.number}: ${call.tool} on ${call.worker}, slot ${call.slot}; waited ${seconds(call.queued)}, ${ran}; ${call.outcome}${code}`,
  );
}

// Selects another call and scrolls it into view.
function go(rows, calls) {
  if (!stream.lanes.length) return;
  const place = selectedPlace();
  let row = place ? place[0] : 0;
  let at = place ? place[1] : 0;
  if (place && rows) {
    const time = stream.lanes[row].calls[at].sent;
    row = Math.min(Math.max(row + rows, 0), stream.lanes.length - 1);
    const next = stream.lanes[row].calls.findIndex((call) => endOf(call) >= time);
    at = next < 0 ? stream.lanes[row].calls.length - 1 : next;
  } else if (place) {
    at = Math.min(Math.max(at + calls, 0), stream.lanes[row].calls.length - 1);
  }
  const call = stream.lanes[row].calls[at];
  stream.selected = call.number;
  const [from, to] = range();
  if (stream.from !== null && (call.sent > to || endOf(call) < from)) {
    stream.from = call.at - (to - from) / 2;
    stream.to = stream.from + (to - from);
  }
  const scroll = byId('lanes').parentElement;
  const y = AXIS + row * (LANE + GAP);
  if (y < scroll.scrollTop || y + LANE > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = y - AXIS;
  paint();
  describe();
}

function zoom(by) {
  const [from, to] = range();
  const place = selectedPlace();
  const middle = place ? stream.lanes[place[0]].calls[place[1]].sent : (from + to) / 2;
  const half = Math.max(((to - from) * by) / 2, 1e-5);
  stream.from = middle - half;
  stream.to = middle + half;
  if (stream.from <= stream.first && stream.to >= stream.last) zoomAll();
  else paint();
}

function zoomAll() {
  stream.from = null;
  stream.to = null;
  paint();
}

function pan(by) {
  const [from, to] = range();
  stream.from = from + (to - from) * by;
  stream.to = to + (to - from) * by;
  paint();
}

function pick(event) {
  const box = byId('lanes').getBoundingClientRect();
  const row = Math.floor((event.clientY - box.top - AXIS) / (LANE + GAP));
  const lane = stream.lanes[row];
  if (!lane || !stream.x) return;
  const at = event.clientX - box.left;
  const found = lane.calls.find((call) => stream.x(call.at) <= at + 2 && stream.x(endOf(call)) >= at - 2);
  if (!found) return;
  stream.selected = found.number;
  paint();
  describe();
}

function setUpStream() {
  byId('stream-pool').addEventListener('change', (event) => {
    stream.pool = event.target.value;
    stream.selected = null;
    zoomAll();
    drawStream();
  });
  byId('zoom-in').addEventListener('click', () => zoom(0.5));
  byId('zoom-out').addEventListener('click', () => zoom(2));
  byId('zoom-all').addEventListener('click', zoomAll);
  byId('pan-left').addEventListener('click', () => pan(-0.5));
  byId('pan-right').addEventListener('click', () => pan(0.5));
  byId('lanes').addEventListener('click', pick);
  byId('lanes').addEventListener('keydown', (event) => {
    const keys = {
      ArrowLeft: () => go(0, -1),
      ArrowRight: () => go(0, 1),
      ArrowUp: () => go(-1, 0),
      ArrowDown: () => go(1, 0),
      '+': () => zoom(0.5),
      '=': () => zoom(0.5),
      '-': () => zoom(2),
      0: zoomAll,
    };
    const action = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  addEventListener('resize', paint);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawStream);
}
