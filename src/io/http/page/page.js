// The page of headcount: follows the ticks of /v1/stream, and asks /v1/windows for the chart. It loads nothing else, and
// comes back by itself when the service was away.
'use strict';

const TRAILING = ['minute', 'hour', 'day', 'week', 'month', 'year'];
const SLOTS = {minute: 60, hour: 48, day: 60};
const LENGTH_S = {minute: 60, hour: 3600, day: 86400};
// A tick may be missed, and the server shows a sign of life every 15 s.
const SILENCE_MS = 40000;
const CHART_EVERY_MS = 2000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

const $ = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString('en-US');
const state = {
  token: sessionStorage.getItem('token'), wanted: null, lastId: null, tick: null, before: null, heardMs: 0,
  lostMs: null, troubles: [], period: 'minute', windows: null, chosen: null, follows: true, askedMs: 0, asking: false,
};

function make(name, properties, ...children) {
  const element = document.createElement(name);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function draw(name, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function ask(path, more = {}) {
  const headers = {...more.headers};
  if (state.token) headers.Authorization = 'Bearer ' + state.token;
  const response = await fetch(path, {cache: 'no-store', ...more, headers});
  if (response.status === 401) await askForToken();
  return response;
}

function askForToken() {
  if (!state.wanted) {
    $('refused').hidden = !state.token;
    $('door').hidden = false;
    $('main').hidden = true;
    $('token').focus();
    state.wanted = new Promise((given) => {
      $('door').addEventListener('submit', (event) => {
        event.preventDefault();
        state.token = $('token').value.trim();
        sessionStorage.setItem('token', state.token);
        $('token').value = '';
        $('door').hidden = true;
        $('main').hidden = false;
        state.wanted = null;
        given();
      }, {once: true});
    });
  }
  return state.wanted;
}

// Server-sent events over fetch: EventSource sends no token.
async function follow() {
  let failures = 0;
  for (;;) {
    const away = new AbortController();
    let silence = setTimeout(() => away.abort(), SILENCE_MS);
    try {
      const headers = {Accept: 'text/event-stream'};
      if (state.lastId) headers['Last-Event-ID'] = state.lastId;
      const response = await ask('v1/stream', {headers, signal: away.signal});
      if (response.ok) {
        failures = 0;
        hear();
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        for (;;) {
          const {value, done} = await reader.read();
          if (done) break;
          clearTimeout(silence);
          silence = setTimeout(() => away.abort(), SILENCE_MS);
          hear();
          text += value;
          const events = text.split('\n\n');
          text = events.pop();
          events.forEach(take);
        }
      } else if (response.status === 401) {
        continue;
      }
    } catch {
      // Told below.
    } finally {
      clearTimeout(silence);
      away.abort();
    }
    lose();
    await sleep(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)] * (0.75 + Math.random() / 2));
  }
}

function take(event) {
  let name = '', data = '';
  for (const line of event.split('\n')) {
    if (line.startsWith('event:')) name = line.slice(6).trim();
    else if (line.startsWith('data:')) data += line.slice(5);
    else if (line.startsWith('id:')) state.lastId = line.slice(3).trim();
  }
  if (name === 'status') {
    state.troubles = JSON.parse(data).troubles;
    showTrouble();
  } else if (name === 'tick') {
    const tick = JSON.parse(data);
    state.before = state.tick && state.tick.epoch === tick.epoch ? state.tick : null;
    state.tick = tick;
    showTick();
    askForWindows();
  }
}

function hear() {
  state.heardMs = Date.now();
  state.lostMs = null;
  $('link').className = 'live';
  $('link').textContent = 'live';
  document.body.classList.remove('stale');
  showTrouble();
}

function lose() {
  if (state.lostMs === null) state.lostMs = Date.now();
  $('link').className = 'lost';
  $('link').textContent = 'reconnecting';
  document.body.classList.add('stale');
  showTrouble();
}

function showTrouble() {
  let sentence = state.troubles.length ? state.troubles[0].sentence : '';
  if (state.lostMs !== null) {
    const seconds = Math.round((Date.now() - (state.heardMs || state.lostMs)) / 1000);
    sentence = `headcount has not answered for ${seconds} s: is it running? Trying again.`;
    if (state.tick) sentence += ' The numbers below are old.';
  } else if (state.troubles.length > 1) {
    sentence += ` (and ${state.troubles.length - 1} more)`;
  }
  // Said again only when it changes, for those who hear it.
  if ($('trouble').textContent !== sentence) $('trouble').textContent = sentence;
  $('trouble').title = state.troubles.map((t) => t.sentence).join('\n');
  $('trouble').hidden = sentence === '';
}

function interval(lo, hi) {
  return lo === hi ? 'exact' : `${number(lo)} – ${number(hi)}`;
}

// The parts of a time as it stands in a record: in the zone of the job, not of the browser.
function parts(time) {
  return {date: time.slice(0, 10), clock: time.slice(11, 16)};
}

function inZone(second, tz) {
  const options = {timeZone: tz, dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23'};
  try {
    return new Intl.DateTimeFormat('en-GB', options).format(second * 1000) + ' ' + tz;
  } catch {
    return new Date(second * 1000).toISOString();
  }
}

function spoken(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${number(Math.floor(s / 86400))} days`;
}

function showTick() {
  const tick = state.tick;
  document.title = `${number(tick.users_last_minute)} users in the last minute – headcount`;
  $('about').textContent = `job ${tick.job}, topic ${tick.source.topic}`;
  for (const window of TRAILING) {
    const [lo, hi] = tick.intervals['last_' + window];
    $('number-' + window).textContent = number(tick['users_last_' + window]);
    $('interval-' + window).textContent = interval(lo, hi);
  }
  let asOf = 'No frame was counted yet.';
  if (tick.as_of !== null) {
    asOf = `As of ${inZone(tick.as_of, tick.tz)}, the newest time counted. Below each number its 95 % interval.`;
    if (tick.since !== null) asOf += ` Whole from ${inZone(tick.since, tick.tz)} on.`;
    else asOf += ' It is not yet known from when on the numbers are whole.';
  }
  $('as-of').textContent = asOf;
  showFlow(tick);
  showLedger(tick.frames);
}

function showFlow(tick) {
  const gap = state.before ? (tick.process.uptime_ms - state.before.process.uptime_ms) / 1000 : 0;
  const rate = (now, then) => gap > 0 ? number(Math.round((now - then) / gap)) : '–';
  const before = state.before;
  const put = (id, text) => { $(id).textContent = text; };
  put('flow-rate', before ? rate(tick.frames.read, before.frames.read) : '–');
  put('flow-lag', tick.process.lag === null ? 'not known' : number(tick.process.lag));
  put('flow-behind', tick.as_of === null ? '–' : spoken(Date.now() / 1000 - tick.as_of));
  const has = tick.as_of !== null && tick.watermark !== null;
  put('flow-watermark', has ? spoken(tick.as_of - tick.watermark) : '–');
  put('flow-cores', before && tick.process.cpu_ms !== null && gap > 0
    ? ((tick.process.cpu_ms - before.process.cpu_ms) / 1000 / gap).toFixed(2) : '–');
  put('flow-memory', tick.process.resident_bytes === null ? '–' : `${number(Math.round(tick.process.resident_bytes / 1048576))} MiB`);
}

function showLedger(frames) {
  const reasons = (of) => Object.entries(of).sort((a, b) => b[1] - a[1]).map(([why, n]) => `${why} ${number(n)}`).join(', ');
  const rejected = Object.values(frames.rejected).reduce((sum, n) => sum + n, 0);
  const rows = [
    ['read', frames.read, 'is the sum of these', 'sum'],
    ['counted', frames.counted, ''],
    ['ignored', frames.ignored, 'frames of nobody'],
    ['quarantined', frames.quarantined, reasons(frames.quarantined_by) || 'good frames whose time is not believed'],
    ['rejected', rejected, reasons(frames.rejected) || 'no frames at all'],
    ['pending', frames.pending, 'wait for others to confirm their time'],
  ];
  $('ledger').tBodies[0].replaceChildren(...rows.map(([name, n, why, kind]) => make('tr', {className: kind || ''},
    make('th', {scope: 'row', textContent: name}), make('td', {textContent: number(n)}), make('td', {textContent: why}))));
  const expired = reasons(frames.expired);
  $('late').textContent = `${number(frames.late)} of the counted ones were late.`
    + (expired ? ` Too late for their window: ${expired}.` : '');
}

async function askForWindows(now) {
  if (state.asking || (!now && Date.now() - state.askedMs < CHART_EVERY_MS)) return;
  state.asking = true;
  state.askedMs = Date.now();
  const period = state.period;
  try {
    const response = await ask(`v1/windows?window=${period}&limit=${SLOTS[period]}`);
    if (response.ok) {
      const answer = await response.json();
      if (period === state.period) {
        state.windows = answer.windows.map((w) => ({...w, at: Date.parse(w.start) / 1000}));
        showChart();
        showTable();
      }
    }
  } catch {
    // The stream tells when the service is away.
  }
  state.asking = false;
  if (period !== state.period) askForWindows(true);
}

// Round numbers up to the greatest, three or four of them.
function steps(greatest) {
  const rough = Math.max(greatest, 1) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough));
  const found = [];
  for (let at = 0; at < greatest + step; at += step) found.push(at);
  return found;
}

function slot(window, newest) {
  const back = Math.round((newest.at - window.at) / LENGTH_S[state.period]);
  return SLOTS[state.period] - 1 - back;
}

function shown() {
  const newest = state.windows?.[state.windows.length - 1];
  return newest ? state.windows.filter((w) => slot(w, newest) >= 0) : [];
}

function showChart() {
  const svg = $('chart');
  if ($('main').hidden) return;
  const {width, height} = svg.getBoundingClientRect();
  // Before there is a layout there is nothing to draw on.
  if (width < 120 || height < 60) return;
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const windows = shown();
  if (!windows.length) {
    const why = state.windows ? 'no frames yet' : 'asking for the windows';
    svg.append(draw('text', {x: width / 2, y: height / 2, 'text-anchor': 'middle'}, why));
    return;
  }
  const newest = windows[windows.length - 1];
  const marks = steps(Math.max(...windows.map((w) => w.hi)));
  const top = marks[marks.length - 1];
  const left = 8 + 7 * number(top).length, right = width - 4, floor = height - 22, ceiling = 12;
  const y = (n) => floor - (floor - ceiling) * n / top;
  const step = (right - left) / SLOTS[state.period];
  for (const mark of marks) {
    svg.append(draw('line', {x1: left, x2: right, y1: y(mark), y2: y(mark), class: mark ? 'grid' : 'base'}));
    svg.append(draw('text', {x: left - 6, y: y(mark) + 4, 'text-anchor': 'end'}, number(mark)));
  }
  // A label needs room; the newest window has one always.
  const every = Math.ceil(64 / step);
  const named = new Set();
  let last = Infinity;
  for (const w of [...windows].reverse()) {
    if (last - slot(w, newest) >= every) {
      last = slot(w, newest);
      named.add(w.start);
    }
  }
  windows.forEach((w) => {
    const at = left + step * slot(w, newest);
    const bar = {x: at + step * 0.12, width: Math.max(1, step * 0.76), y: y(w.users), height: Math.max(0, floor - y(w.users))};
    if (w.start === state.chosen) svg.append(draw('rect', {x: at, width: step, y: ceiling, height: floor - ceiling, class: 'chosen'}));
    svg.append(draw('rect', {...bar, class: `window ${w.state}`, 'data-start': w.start, 'data-users': w.users}));
    const middle = at + step / 2;
    if (w.lo !== w.hi) svg.append(draw('line', {x1: middle, x2: middle, y1: y(w.lo), y2: y(w.hi), class: 'interval'}));
    if (w.state === 'revised') {
      svg.append(draw('circle', {cx: middle, cy: Math.max(4, y(w.hi) - 7), r: Math.min(4, Math.max(2.5, step / 3)), class: 'revision'}));
    }
    if (named.has(w.start)) {
      const {date, clock} = parts(w.start);
      const text = state.period === 'day' ? date.slice(5) : clock;
      svg.append(draw('text', {x: Math.max(left + 14, Math.min(middle, right - 16)), y: height - 6, 'text-anchor': 'middle'}, text));
    }
  });
  // Reads from the side of the page with the pointer anywhere above a window.
  svg.append(draw('rect', {x: left, y: 0, width: right - left, height, fill: 'transparent'}));
  state.place = {left, step, newest};
  read();
}

function describe(w) {
  const {date, clock} = parts(w.start);
  const name = state.period === 'day' ? date : `${date} ${clock}`;
  const word = {provisional: 'provisional, still changing', final: 'final', revised: `revised ${w.revision} time${w.revision === 1 ? '' : 's'}`}[w.state];
  const users = w.lo === w.hi ? `${number(w.users)} users, exact` : `${number(w.users)} users (${interval(w.lo, w.hi)})`;
  const whole = w.complete ? '' : '; frames from before the start may be missing';
  return `${name}: ${users}, ${number(w.frames)} frames, ${number(w.late)} late; ${word}${whole}.`;
}

function read() {
  const windows = shown();
  const w = windows.find((w) => w.start === state.chosen) || windows[windows.length - 1];
  const text = w ? describe(w) : '';
  if ($('reading').textContent !== text) $('reading').textContent = text;
}

function choose(start) {
  state.chosen = start;
  showChart();
}

function showTable() {
  if (!$('table').closest('details').open) return;
  const rows = [...shown()].reverse().map((w) => make('tr', {}, make('td', {textContent: w.start.slice(0, 16).replace('T', ' ')}),
    ...[number(w.users), interval(w.lo, w.hi), number(w.frames), number(w.late), w.state].map((text) => make('td', {textContent: text}))));
  $('table').tBodies[0].replaceChildren(...rows);
}

function prepare() {
  for (const window of TRAILING) {
    $('users').append(make('div', {}, make('dt', {textContent: window}),
      make('dd', {id: 'number-' + window, className: 'number', textContent: '–'}),
      make('dd', {id: 'interval-' + window, className: 'interval', textContent: ''})));
  }
  const flow = {rate: 'frames/s', lag: 'frames not yet read', behind: 'behind the clock on the wall',
    watermark: 'watermark behind the newest time', cores: 'cores busy', memory: 'memory'};
  for (const [id, name] of Object.entries(flow)) {
    $('flow').append(make('div', {}, make('dt', {textContent: name}), make('dd', {id: 'flow-' + id, textContent: '–'})));
  }
  for (const button of $('periods').children) {
    button.addEventListener('click', () => {
      state.period = button.dataset.period;
      state.windows = null;
      state.chosen = null;
      for (const other of $('periods').children) other.setAttribute('aria-pressed', String(other === button));
      askForWindows(true);
    });
  }
  const frame = $('frame');
  frame.addEventListener('pointermove', (event) => {
    if (!state.place) return;
    const {left, step, newest} = state.place;
    const at = Math.floor((event.clientX - $('chart').getBoundingClientRect().left - left) / step);
    const w = shown().find((w) => slot(w, newest) === at);
    if (w && w.start !== state.chosen) choose(w.start);
  });
  frame.addEventListener('pointerleave', () => { if (document.activeElement !== frame) choose(null); });
  frame.addEventListener('blur', () => choose(null));
  frame.addEventListener('keydown', (event) => {
    const windows = shown();
    const now = windows.findIndex((w) => w.start === state.chosen);
    const at = now < 0 ? windows.length - 1 : now;
    const next = {ArrowLeft: now < 0 ? at : at - 1, ArrowRight: at + 1, Home: 0, End: windows.length - 1}[event.key];
    if (event.key === 'Escape') choose(null);
    if (next === undefined || !windows.length) return;
    event.preventDefault();
    choose(windows[Math.min(Math.max(next, 0), windows.length - 1)].start);
  });
  $('table').closest('details').addEventListener('toggle', showTable);
  addEventListener('resize', showChart);
  setInterval(() => { if (state.lostMs !== null) showTrouble(); }, 1000);
}

prepare();
showChart();
follow();
