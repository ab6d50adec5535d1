// Starts the page, with its embedded data or with events of the server.

function draw() {
  drawOverview();
  drawFindings();
  drawStream();
  drawWorkers();
  drawSlow();
  drawFlamePools();
  drawDeaths();
  setText(byId('made'), model.made ? `${model.live ? 'As of' : 'Made'} ${moment(model.made)} UTC` : '');
}

// Draws once per frame, however many events have arrived.
let drawing = 0;
function drawSoon() {
  if (!drawing) {
    drawing = requestAnimationFrame(() => {
      drawing = 0;
      draw();
    });
  }
}

function say(text, kind) {
  setText(byId('status'), text);
  byId('status').className = kind;
}

function follow() {
  say('Connecting…', '');
  const events = new EventSource(address('events', {}));
  events.addEventListener('look', (event) => {
    addLook(JSON.parse(event.data));
    say('Live', 'good');
    drawSoon();
  });
  events.addEventListener('calls', (event) => {
    const news = JSON.parse(event.data);
    addCalls(news.pool, news.calls);
    if (news.deaths) poolOf(news.pool).deaths = news.deaths;
    drawSoon();
  });
  events.addEventListener('silent', (event) => {
    const silent = JSON.parse(event.data);
    const why = silent.why ? ` ${silent.why}` : '';
    say(`No answer for ${silent.seconds} s.${why}`, 'bad');
  });
  events.addEventListener('gone', (event) => {
    events.close();
    say(`The host has ended: ${JSON.parse(event.data).why}`, 'bad');
  });
  events.addEventListener('error', () => {
    const ended = events.readyState === EventSource.CLOSED;
    say(ended ? 'The server does not answer.' : 'The connection is lost; trying again…', 'bad');
  });
}

addDocument(JSON.parse(byId('data').textContent));
setUpStream();
setUpFlames();
byId('filter').addEventListener('input', drawWorkers);
byId('panel-close').addEventListener('click', () => byId('panel').close());
draw();
drawProfile();
if (model.live) follow();
else say('Report', '');
document.documentElement.dataset.ready = 'true';
