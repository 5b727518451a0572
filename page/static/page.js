// What the operators' page does beyond being there: it takes what has changed
// from /events, where all texts come rendered and escaped, and filters without
// loading the page anew. Without it the page is the same, as of its loading.
'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId('filter');
  const pause = byId('pause');
  const live = byId('live');
  const liveState = byId('live-state');
  // The longest pause before a stream that was refused is tried again.
  const retryAfter = 10000;
  const typing = 150;

  let stream = null;
  let retry = 0;
  let paused = false;
  let missed = 0;
  let asked = 0;

  document.documentElement.classList.add('scripted');
  live.hidden = false;
  pause.hidden = false;

  const list = () => byId('list');

  function fragment(html) {
    const template = document.createElement('template');
    template.innerHTML = html;
    return template.content;
  }

  function say(text, state) {
    if (liveState.textContent !== text) liveState.textContent = text;
    live.className = 'live ' + state;
  }

  // --- ages of what lies back -------------------------------------------

  function age(seconds) {
    if (seconds < 60) return Math.max(0, Math.floor(seconds)) + ' s';
    if (seconds < 3600) return Math.floor(seconds / 60) + ' min';
    if (seconds < 172800) return Math.floor(seconds / 3600) + ' h';
    return Math.floor(seconds / 86400) + ' d';
  }

  function ages(root) {
    for (const time of root.querySelectorAll('time[data-age]')) {
      const text = age((Date.now() - Date.parse(time.dateTime)) / 1000) + (time.dataset.age ? '' : ' ago');
      time.title = time.dateTime;
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // --- panels -------------------------------------------------------------

  function selecting(node) {
    const selection = getSelection();
    return selection && !selection.isCollapsed && node.contains(selection.anchorNode);
  }

  const waiting = new Map();

  function show(name, html) {
    const panel = byId('panel-' + name);
    if (!panel) return;
    if (selecting(panel)) {
      waiting.set(name, html);
      return;
    }
    waiting.delete(name);
    const open = [...panel.querySelectorAll('details[open]')].map((d) => d.id);
    const scrolled = [...panel.querySelectorAll('details[open] .members')].map((m) => [m.parentElement.id, m.scrollTop]);
    const focused = panel.contains(document.activeElement) ? document.activeElement.id : '';
    panel.replaceChildren(fragment(html));
    for (const id of open) if (byId(id)) byId(id).open = true;
    for (const [id, top] of scrolled) {
      const members = byId(id) && byId(id).querySelector('.members');
      if (members) members.scrollTop = top;
    }
    if (focused && byId(focused)) byId(focused).focus({preventScroll: true});
    ages(panel);
    for (const plot of panel.querySelectorAll('.plot')) read(plot);
  }

  document.addEventListener('selectionchange', () => {
    for (const [name, html] of [...waiting]) show(name, html);
  });

  // --- plots --------------------------------------------------------------

  // Where the reader points, by the plot's ID, as a share of its width.
  const pointed = new Map();

  function value(v, unit) {
    if (unit !== 's') return v.toLocaleString('en') + unit;
    return v < 1 ? (v * 1000).toPrecision(2) + ' ms' : v.toPrecision(2) + ' s';
  }

  function read(plot) {
    const readout = plot.querySelector('[data-readout]');
    const cursor = plot.querySelector('.cursor');
    if (!readout.dataset.summary) readout.dataset.summary = readout.textContent;
    const share = pointed.get(plot.id);
    if (share === undefined) {
      readout.textContent = readout.dataset.summary;
      cursor.setAttribute('x1', '-9');
      cursor.setAttribute('x2', '-9');
      return;
    }
    const data = JSON.parse(plot.dataset.plot);
    const bin = Math.min(data.bins - 1, Math.max(0, Math.floor(share * data.bins)));
    cursor.setAttribute('x1', bin + 0.5);
    cursor.setAttribute('x2', bin + 0.5);
    const row = data.rows[bin];
    const at = new Date((data.from + bin * data.step) * 1000).toISOString().slice(11, 19);
    const parts = [];
    if (row) {
      data.names.forEach((name, i) => {
        const counted = data.unit === 's' && i > 1;
        if (row[i] || i === 0 && data.unit === 's') parts.push(name + ' ' + (counted ? row[i] : value(row[i], data.unit)));
      });
    }
    readout.textContent = at + '  ' + (parts.join(' · ') || 'nothing');
  }

  document.addEventListener('pointermove', (event) => {
    const canvas = event.target.closest ? event.target.closest('.canvas') : null;
    for (const plot of document.querySelectorAll('.plot')) {
      if (canvas && plot.contains(canvas)) {
        const box = canvas.getBoundingClientRect();
        pointed.set(plot.id, (event.clientX - box.left) / box.width);
      } else if (plot === document.activeElement || !pointed.has(plot.id)) {
        continue;
      } else {
        pointed.delete(plot.id);
      }
      read(plot);
    }
  });

  document.addEventListener('keydown', (event) => {
    const plot = event.target.closest ? event.target.closest('.plot') : null;
    if (!plot || !['ArrowLeft', 'ArrowRight', 'Escape'].includes(event.key)) return;
    const bins = JSON.parse(plot.dataset.plot).bins;
    const share = pointed.has(plot.id) ? pointed.get(plot.id) : 1;
    if (event.key === 'Escape') pointed.delete(plot.id);
    else pointed.set(plot.id, Math.min(1, Math.max(0, (Math.floor(share * bins) + (event.key === 'ArrowLeft' ? -1 : 1) + 0.5) / bins)));
    read(plot);
    event.preventDefault();
  });

  // --- decisions ----------------------------------------------------------

  function number(n) {
    return n.toLocaleString('en');
  }

  // A row that is read with the keyboard, or marked to be copied, stays.
  function reading() {
    const rows = byId('rows');
    return rows && (rows.contains(document.activeElement) || selecting(rows));
  }

  function held() {
    pause.textContent = missed ? 'Show ' + number(missed) + ' new' : paused ? 'Go on' : 'Pause';
  }

  function rows(event, id) {
    const body = byId('rows');
    if (!body || list().dataset.older !== undefined) return;
    list().dataset.resume = id;
    if (paused || reading()) {
      missed += event.new;
      held();
      return;
    }
    if (missed) {
      refresh();
      return;
    }
    const fresh = fragment('<table><tbody>' + event.html + '</tbody></table>').querySelector('tbody');
    for (const row of fresh.children) row.classList.add('fresh');
    if (event.replace) body.replaceChildren(...fresh.children);
    else body.prepend(...fresh.children);
    while (body.children.length > Number(list().dataset.limit)) body.lastElementChild.remove();
    const empty = byId('empty');
    if (empty && body.children.length) empty.remove();
    const matching = list().querySelector('[data-matching]');
    const kept = list().querySelector('[data-kept]');
    if (matching) matching.textContent = number(event.matching);
    if (kept) kept.textContent = number(event.kept);
    setTimeout(() => {
      for (const row of body.querySelectorAll('.fresh')) row.classList.remove('fresh');
    }, 1500);
  }

  function wanted() {
    const query = new URLSearchParams();
    for (const [name, text] of new FormData(form)) if (text) query.append(name, text);
    return query;
  }

  // load shows the decisions of a query, and follows them.
  async function load(query, keep) {
    const turn = ++asked;
    const text = query.toString();
    let html;
    try {
      const answer = await fetch('/decisions?' + text, {headers: {Accept: 'text/html'}});
      html = await answer.text();
    } catch {
      return; // the stream says that the gateway is away
    }
    if (turn !== asked) return; // a later question has its answer before
    byId('decisions').replaceChildren(fragment(html));
    missed = 0;
    held();
    const result = byId('result');
    if (!keep && result) byId('said').textContent = result.textContent;
    if (!keep) history.replaceState(null, '', text ? '/?' + text : '/');
    connect();
  }

  function refresh() {
    missed = 0;
    load(new URLSearchParams(list().dataset.query), true);
  }

  let timer = 0;
  function soon(delay) {
    clearTimeout(timer);
    timer = setTimeout(() => load(wanted()), delay);
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    soon(0);
  });
  form.addEventListener('input', (event) => {
    if (event.target.name === 'q') soon(typing);
  });
  form.addEventListener('change', () => soon(0));

  function fill(query) {
    for (const field of form.elements) {
      if (!field.name) continue;
      if (field.type === 'checkbox') field.checked = query.getAll('outcome').includes(field.value);
      else field.value = query.get(field.name) || '';
    }
  }

  // Links to decisions, from any panel, need no new page.
  document.addEventListener('click', (event) => {
    const link = event.target.closest('a');
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (!link) {
      const row = event.target.closest('#rows tr');
      const to = row && getSelection().isCollapsed && row.querySelector('a');
      if (to) to.click();
      return;
    }
    const url = new URL(link.href);
    if (url.origin !== location.origin || url.pathname !== '/' || url.hash !== '#decisions') return;
    if (link.classList.contains('skip') || link.closest('nav')) return;
    event.preventDefault();
    fill(url.searchParams);
    load(url.searchParams);
    if (!link.closest('#decisions') && link.id !== 'clear') {
      byId('h-decisions').scrollIntoView();
    }
    if (link.closest('#decisions')) byId('decisions').focus({preventScroll: false});
  });

  // Up and down go from row to row.
  byId('decisions').addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    const row = event.target.closest('#rows tr');
    const next = row && (event.key === 'ArrowDown' ? row.nextElementSibling : row.previousElementSibling);
    const link = next && next.querySelector('a');
    if (!link) return;
    event.preventDefault();
    link.focus();
  });

  byId('decisions').addEventListener('focusout', () => {
    setTimeout(() => {
      if (missed && !paused && !reading()) refresh();
    }, 0);
  });

  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    if (!paused && missed) refresh();
    held();
  });

  // --- the stream ---------------------------------------------------------

  function connect() {
    clearTimeout(retry);
    if (stream) stream.close();
    stream = null;
    if (document.hidden) return;
    const query = new URLSearchParams(list() ? list().dataset.query : '');
    if (list()) query.set('after', list().dataset.resume);
    const own = new EventSource('/events?' + query);
    stream = own;
    own.addEventListener('hello', (event) => {
      if (JSON.parse(event.data).boot !== document.body.dataset.boot) location.reload();
      else say('live', 'on');
    });
    own.addEventListener('panels', (event) => {
      for (const [name, html] of Object.entries(JSON.parse(event.data))) show(name, html);
    });
    own.addEventListener('rows', (event) => rows(JSON.parse(event.data), event.lastEventId));
    own.onerror = () => {
      if (stream !== own) return;
      say('not live, trying again', 'off');
      if (own.readyState !== EventSource.CLOSED) return;
      retry = setTimeout(connect, retryAfter);
    };
  }

  // Who does not look needs no stream, and comes back to what is now.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      connect();
      return;
    }
    if (paused || reading() || !list()) connect();
    else refresh();
  });
  addEventListener('pagehide', () => {
    if (stream) stream.close();
    stream = null;
  });
  addEventListener('pageshow', (event) => {
    if (event.persisted) refresh();
  });

  setInterval(() => ages(document), 1000);
  ages(document);
  connect();
})();
