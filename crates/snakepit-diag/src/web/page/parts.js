// Helpers of the page. All text is inserted as plain text, never as HTML.

function el(name, options = {}, ...children) {
  const made = document.createElement(name);
  const { text, className, ...rest } = options;
  if (text !== undefined) made.textContent = printable(text);
  if (className) made.className = className;
  for (const [key, value] of Object.entries(rest)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);

// Sets a text if it has changed: an unchanged element keeps its selection.
function setText(element, text) {
  const shown = printable(text);
  if (element.textContent !== shown) element.textContent = shown;
}

// Escapes control characters and changes of writing direction.
function printable(text) {
  return text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

function seconds(value) {
  if (!Number.isFinite(value) || value < 0) return '0 µs';
  if (value < 0.0009995) return `${Math.round(value * 1e6)} µs`;
  if (value < 0.9995) return `${digits(value * 1e3)} ms`;
  if (value < 10) return `${trimmed(value)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} d`;
}

function digits(value) {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

function trimmed(value) {
  return value.toFixed(1).replace(/\.0$/, '');
}

function bytes(value) {
  if (value === null || value === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  let rest = value;
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return unit ? `${digits(rest)} ${units[unit]}` : `${rest} B`;
}

const moment = (at) => new Date(at * 1000).toISOString().replace('T', ' ').slice(0, 19);

// Updates the children of a parent to match the items, by key. Elements of remaining items are
// reused, so that focus and open details are kept.
function keyed(parent, items, keyOf, make, update) {
  const active = document.activeElement;
  const old = new Map();
  for (const child of parent.children) old.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = old.get(key);
    if (child) {
      old.delete(key);
    } else {
      child = make(item);
      child.dataset.key = key;
    }
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of old.values()) child.remove();
  if (active && active !== document.activeElement && active.isConnected) active.focus({ preventScroll: true });
}

// Formats the stacks of a worker as lines.
function stackText(of) {
  if (!of || !of.stacks) return 'It did not answer in time.';
  const lines = [];
  for (const thread of of.stacks.threads) {
    lines.push(`thread ${thread.name} (${thread.id})`);
    for (const frame of thread.frames) lines.push(`  ${frame.file}:${frame.line} in ${frame.function}`);
  }
  if (of.stacks.truncated) lines.push('more was left out');
  return lines.join('\n');
}

const address = (path, query) => `${path}?${new URLSearchParams({ ...query, token })}`;
const token = new URLSearchParams(location.search).get('token') || '';

async function ask(path, query) {
  const answer = await fetch(address(path, query));
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function showPanel(title, text) {
  setText(byId('panel-title'), title);
  setText(byId('panel-text'), text);
  if (!byId('panel').open) byId('panel').showModal();
}

async function showStacks(worker) {
  const known = model.stacks.get(worker);
  if (!model.live) {
    showPanel(`Stacks of ${worker}`, known ? stackText(known) : 'No stacks were taken.');
    return;
  }
  showPanel(`Stacks of ${worker}`, 'Asking the worker…');
  try {
    const found = await ask('stacks', { worker });
    addStacks(found);
    showPanel(`Stacks of ${worker}`, found.map(stackText).join('\n'));
  } catch (error) {
    showPanel(`Stacks of ${worker}`, error.message);
  }
}

async function showLogs(worker) {
  showPanel(`What ${worker} has written`, 'Asking the host…');
  try {
    const found = await ask('logs', { worker });
    const text = found.map((line) => line.text).join('\n');
    showPanel(`What ${worker} has written`, text || 'Nothing.');
  } catch (error) {
    showPanel(`What ${worker} has written`, error.message);
  }
}
