// The flame graph: where the Python code of a pool spends its time, in samples taken on request.

// Share of the samples below which a function is left out.
const SMALLEST = 0.002;
const ROW = 1.5;

const flame = { bars: [], current: 0 };

// Builds the tree of functions with their numbers of samples.
function flameOf(report) {
  const root = { count: 0, calls: new Map() };
  for (const stack of report.stacks) {
    root.count += stack.count;
    let node = root;
    for (const index of stack.frames) {
      const { function: name, file, first_line: line } = report.frames[index];
      const key = `${file}:${line} ${name}`;
      if (!node.calls.has(key)) node.calls.set(key, { name, place: `${file}:${line}`, count: 0, calls: new Map() });
      node = node.calls.get(key);
      node.count += stack.count;
    }
  }
  return root;
}

// Lists the bars of a tree, callers before what they call.
function flameBars(root) {
  const bars = [];
  const waiting = [{ node: root, from: 0, depth: -1 }];
  while (waiting.length) {
    const { node, from, depth } = waiting.pop();
    if (depth >= 0) bars.push({ ...node, from, depth, share: node.count / root.count });
    const calls = [...node.calls.values()].filter((one) => one.count / root.count >= SMALLEST);
    let at = from + node.count;
    // The last one is taken first.
    for (const one of calls.sort((a, b) => a.count - b.count)) {
      at -= one.count;
      waiting.push({ node: one, from: at, depth: depth + 1 });
    }
  }
  return bars.map((bar) => ({ ...bar, left: bar.from / root.count }));
}

function drawFlames(report) {
  const bars = flameBars(flameOf(report));
  Object.assign(flame, { bars, current: 0 });
  const depth = Math.max(0, ...bars.map((bar) => bar.depth + 1));
  const graph = byId('flames');
  graph.hidden = !bars.length;
  graph.style.height = `${depth * ROW}rem`;
  graph.replaceChildren(...bars.map((bar, index) => {
    const made = el('div', { text: bar.name, title: printable(flameText(bar)), onclick: () => pointFlame(index) });
    made.style.left = `${bar.left * 100}%`;
    made.style.width = `${bar.share * 100}%`;
    made.style.top = `${bar.depth * ROW}rem`;
    made.style.background = `hsl(${flameHue(bar.place)} 75% var(--flame))`;
    return made;
  }));
  setText(byId('flame-frame'), '');
  const left = report.unprofiled.map((worker) => ` ${worker.worker}: ${worker.reason}.`).join('');
  const state = bars.length ? `${report.samples} samples in ${seconds(report.seconds)}.` : 'No Python code ran.';
  setText(byId('flame-state'), `${state}${left}`);
}

const flameText = (bar) => `${bar.name}  ${trimmed(bar.share * 100)} %  ${bar.place}`;

// Functions of one file have one colour, between red and yellow.
function flameHue(place) {
  let hash = 0;
  for (const c of place.split(':')[0]) hash = (hash * 31 + c.codePointAt(0)) % 997;
  return hash % 55;
}

function pointFlame(index) {
  const bars = byId('flames').children;
  bars[flame.current]?.classList.remove('current');
  flame.current = Math.min(Math.max(index, 0), flame.bars.length - 1);
  bars[flame.current].classList.add('current');
  setText(byId('flame-frame'), flameText(flame.bars[flame.current]));
}

async function sampleFlames() {
  const button = byId('flame-start');
  button.disabled = true;
  setText(byId('flame-state'), 'Sampling…');
  try {
    drawFlames(await ask('profile', { pool: byId('flame-pool').value }));
  } catch (error) {
    setText(byId('flame-state'), error.message);
  }
  button.disabled = false;
}

// The pools that have a flame graph: all of a live host, in a report those with a profile.
function drawFlamePools() {
  const live = model.live && model.report ? model.report.pools.map((pool) => pool.pool) : [];
  const pools = model.live ? live : [...model.profiles.keys()];
  for (const id of ['flame', 'to-flame']) byId(id).hidden = !model.live && !pools.length;
  byId('flame-start').hidden = !model.live;
  keyed(byId('flame-pool'), pools, (pool) => pool, (pool) => el('option', { text: pool, value: pool }), () => {});
}

// Draws the profile that a report has of the chosen pool.
function drawProfile() {
  const profile = model.profiles.get(byId('flame-pool').value);
  if (profile) drawFlames(profile);
}

function setUpFlames() {
  byId('flame-start').addEventListener('click', sampleFlames);
  byId('flame-pool').addEventListener('change', drawProfile);
  byId('flames').addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !flame.bars.length) return;
    event.preventDefault();
    const first = byId('flame-frame').textContent === '';
    pointFlame(first ? 0 : flame.current + step);
  });
}
