
'use strict';
// Makes the table and the drawings from the JSON block. Whatever came over the wire is set as text, never as markup, and no
// figure is computed here: what is shown stands ready in the block; microseconds only place and sort.
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const rows = data.rows;
  /** Rows that are put into the table at once. */
  const CHUNK = 200;
  /** Drawings that are printed. */
  const MOST_PRINTED = 200;

  /** An element; of the properties, `class`, `text` and functions have their own ways in. */
  const make = (name, properties = {}, ...children) => fill(document.createElement(name), properties, children);
  const draw = (name, properties = {}, ...children) =>
    fill(document.createElementNS('http://www.w3.org/2000/svg', name), properties, children);
  const fill = (element, properties, children) => {
    for (const [name, value] of Object.entries(properties)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === 'text') element.textContent = value;
      else if (typeof value === 'function') element.addEventListener(name, value);
      else element.setAttribute(name, value === true ? '' : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };

  // A whole answer that says that it failed is not “ok” to a reader.
  const named = (row) => (row.verdict === 'ok' && row.good === false ? 'answered' : row.verdict);
  const SIGNS = new Map([[true, ['✓', 'good', 'went well']], [false, ['✗', 'bad', 'did not go well']], [null, ['?', 'doubt', 'not known']]]);
  const took = (name) => (row) => row.took[name] === undefined ? null : Number(row.took[name]);
  // Those that did not go well come first, each group in the order of time.
  const RANK = new Map([[false, 0], [null, 1], [true, 2]]);
  const COLUMNS = [
    { id: 'well', title: '±', words: 'went well or not', value: (row) => RANK.get(row.good) },
    { id: 'verdict', title: 'verdict', value: (row) => row.verdict },
    { id: 'request', title: 'request', value: (row) => row.request },
    { id: 'server', title: 'server', value: (row) => row.server_brief ?? row.server },
    { id: 'status', title: 'status', number: true, value: (row) => row.status ?? null },
    { id: 'start', title: 'start, s', words: 'seconds since the first frame', number: true, value: (row) => Number(row.start) },
    { id: 'response', title: 'answer began', gap: 'request_to_response', number: true },
    { id: 'total', title: 'all of it', gap: 'total', number: true },
    { id: 'close', title: 'client closed', gap: 'request_to_client_close', number: true },
  ];
  for (const column of COLUMNS) {
    if (column.gap) {
      column.value = took(column.gap);
      column.words = `${column.gap}: ${data.gaps[column.gap]}, in ms`;
    }
  }

  // One end of a connection, with its name if it has one.
  const ended = (name, end) => (name === undefined ? end : `${name} (${end})`);

  const keyOf = (row) => `${row.kind}-${row.id}`;
  const byKey = new Map();
  rows.forEach((row, index) => {
    row.key = keyOf(row);
    row.order = index;
    row.hay = [row.request, row.host, row.request_id, row.trace_id, row.verdict, row.server, row.server_name, row.client, row.client_name, row.key, row.source]
      .filter(Boolean).join('\n').toLowerCase();
    byKey.set(row.key, row);
  });

  const state = { words: [], verdicts: new Set(rows.map((row) => row.verdict)), onlyBad: false, by: 'well', down: false, open: new Set() };
  let shown = [];
  let rendered = 0;
  let current = null;
  // Paper has every column and a width of its own, whatever the window is like.
  let isPrinting = false;

  // ---- The frame around the table ----

  const app = document.getElementById('app');
  const search = make('input', { type: 'search', id: 'filter', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Filter the exchanges',
    placeholder: 'Filter: method, path, host, request id, verdict, address' });
  const onlyBad = make('input', { type: 'checkbox', id: 'only-bad' });
  const boxes = new Map();
  const fieldset = make('fieldset', {}, make('legend', { text: 'Verdicts' }));
  for (const verdict of Object.keys(data.verdicts)) {
    const count = rows.filter((row) => row.verdict === verdict).length;
    if (count === 0) continue;
    const box = make('input', { type: 'checkbox', value: verdict, checked: true });
    boxes.set(verdict, box);
    fieldset.append(make('label', { title: data.verdicts[verdict] }, box, make('code', { text: verdict }), make('span', { class: 'dim', text: String(count) })));
  }
  const count = make('p', { class: 'count', id: 'count', role: 'status' });
  const head = make('tr');
  const headButtons = new Map();
  for (const column of COLUMNS) {
    const button = make('button', { type: 'button', title: column.words, 'aria-label': column.id === 'well' ? column.words : undefined,
      click: () => sortBy(column.id) });
    headButtons.set(column.id, button);
    head.append(make('th', { scope: 'col', class: `${column.id}${column.number ? ' n' : ''}` }, button));
  }
  const body = make('tbody');
  const table = make('table', { class: 'list', 'aria-describedby': 'count keys' },
    make('caption', { class: 'caption', id: 'keys', text: 'Arrow keys move from row to row, Enter opens a timeline. Gaps in milliseconds: request_to_response (answer began), total (all of it), request_to_client_close (client closed).' }),
    make('colgroup', {}, ...COLUMNS.map((column) => make('col', { class: `c-${column.gap ? 'took' : column.id} c-${column.id}` }))),
    make('thead', {}, head), body);
  const more = make('button', { type: 'button', class: 'more', text: 'Show more', click: () => renderMore() });
  const spoken = make('p', { class: 'count', role: 'alert' });
  if (rows.length > 0) {
    app.append(make('div', { class: 'tools' }, search, make('label', {}, onlyBad, 'only what did not go well')),
      make('div', { class: 'tools' }, fieldset), count, spoken, table, more);
  } else {
    app.append(make('p', { class: 'dim', text: 'There is none to show.' }));
  }

  // ---- Filtering, sorting, rendering ----

  const compare = (value, sign) => (a, b) => {
    const [x, y] = [value(a), value(b)];
    // What has no value stands last, whichever way it is sorted.
    if (x === null || y === null) return (x === null) - (y === null) || a.order - b.order;
    const order = x < y ? -1 : x > y ? 1 : 0;
    return sign * order || a.order - b.order;
  };

  const update = () => {
    shown = rows.filter((row) => state.verdicts.has(row.verdict) && !(state.onlyBad && row.good !== false) && state.words.every((word) => row.hay.includes(word)));
    const column = COLUMNS.find((column) => column.id === state.by);
    shown.sort(compare(column.value, state.down ? -1 : 1));
    for (const [id, button] of headButtons) {
      const cell = button.parentElement;
      if (id === state.by) cell.setAttribute('aria-sort', state.down ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
      const { title } = COLUMNS.find((column) => column.id === id);
      const arrow = id !== state.by ? '' : state.down ? '↓' : '↑';
      // The column of signs has room for one.
      button.textContent = id === 'well' ? arrow || title : `${title} ${arrow}`.trim();
    }
    const all = rows.length;
    count.textContent = shown.length === all ? `${all.toLocaleString('en')} shown` : `${shown.length.toLocaleString('en')} of ${all.toLocaleString('en')} shown`;
    spoken.textContent = '';
    body.replaceChildren();
    rendered = 0;
    if (!shown.includes(current)) current = shown[0] ?? null;
    renderMore();
  };

  const renderMore = (until = rendered + CHUNK) => {
    const part = document.createDocumentFragment();
    const fresh = shown.slice(rendered, until);
    for (const row of fresh) {
      part.append(rowOf(row));
      if (state.open.has(row.key)) part.append(detailOf(row));
    }
    rendered += fresh.length;
    body.append(part);
    more.hidden = rendered >= shown.length;
    redrawAll();
  };

  const rowOf = (row) => {
    const [sign, ink, meaning] = SIGNS.get(row.good);
    const open = state.open.has(row.key);
    const button = make('button', { type: 'button', class: 'open-row', 'aria-expanded': String(open), tabindex: row === current ? '0' : '-1', text: row.request,
      title: row.request, 'data-key': row.key });
    const cell = (id, text, kind = '') => make('td', { class: `${id} ${kind}`, text: text ?? '–', title: text });
    const figure = (id, name) => cell(id, row.took[name], row.took[name] === undefined ? 'n none' : 'n');
    const verdict = make('td', { class: `verdict ${ink}`, text: named(row), title: data.verdicts[row.verdict] });
    if (row.doubt) verdict.append(make('span', { class: 'doubt', text: ' uncertain', title: row.doubt.words }));
    if (row.probe) verdict.append(make('span', { class: 'dim', text: ' probe' }));
    return make('tr', { class: open ? 'row open' : 'row', id: row.key },
      make('td', { class: `well ${ink}` }, make('span', { class: 'sign', role: 'img', 'aria-label': meaning, text: sign })), verdict,
      make('th', { scope: 'row' }, button), cell('server', row.server_brief ?? row.server),
      cell('status', row.status === undefined ? undefined : String(row.status), 'n'), cell('start', row.start, 'n'),
      figure('response', 'request_to_response'), figure('total', 'total'), figure('close', 'request_to_client_close'));
  };

  const detailOf = (row) => make('tr', { class: 'detail-row', id: `${row.key}-timeline` },
    make('td', { class: 'detail', colspan: String(columnsShown()) }, cardOf(row)));

  /** On a narrow screen some are not there, and a cell across more than there are would make new ones. */
  const columnsShown = () => isPrinting ? COLUMNS.length : [...head.children].filter((cell) => getComputedStyle(cell).display !== 'none').length || COLUMNS.length;

  const toggle = (row, open = !state.open.has(row.key)) => {
    const line = document.getElementById(row.key);
    if (!line || open === state.open.has(row.key)) return;
    const button = line.querySelector('.open-row');
    button.setAttribute('aria-expanded', String(open));
    line.classList.toggle('open', open);
    if (open) {
      state.open.add(row.key);
      line.after(detailOf(row));
      button.setAttribute('aria-controls', `${row.key}-timeline`);
      remember(row.key);
      redrawAll();
    } else {
      state.open.delete(row.key);
      document.getElementById(`${row.key}-timeline`)?.remove();
    }
  };

  const remember = (key) => {
    try { history.replaceState(null, '', `#${key}`); } catch { /* Some viewers of files allow no such thing. */ }
  };

  const sortBy = (id) => {
    const column = COLUMNS.find((column) => column.id === id);
    // Of figures the largest are what one looks for.
    const first = Boolean(column.gap);
    state.down = state.by === id ? !state.down : first;
    state.by = id;
    update();
  };

  // ---- The keyboard and the mouse ----

  const focusRow = (row) => {
    current = row;
    for (const button of body.querySelectorAll('.open-row[tabindex="0"]')) button.tabIndex = -1;
    const button = document.getElementById(row.key)?.querySelector('.open-row');
    if (!button) return;
    button.tabIndex = 0;
    button.focus();
  };
  const KEYS = new Map([['ArrowDown', (at) => at + 1], ['ArrowUp', (at) => at - 1], ['PageDown', (at) => at + 15], ['PageUp', (at) => at - 15],
    ['Home', () => 0], ['End', () => shown.length - 1]]);
  body.addEventListener('keydown', (event) => {
    const row = byKey.get(event.target.dataset?.key);
    if (!row || event.ctrlKey || event.altKey || event.metaKey) return;
    const move = KEYS.get(event.key);
    if (move) {
      event.preventDefault();
      const place = Math.max(0, Math.min(shown.length - 1, move(shown.indexOf(row))));
      if (place >= rendered) renderMore(place + CHUNK);
      focusRow(shown[place]);
    } else if (event.key === 'Escape') {
      toggle(row, false);
    }
  });
  body.addEventListener('click', (event) => {
    const line = event.target.closest('tr.row');
    if (!line || String(document.getSelection()).length > 0 && !event.target.closest('button')) return;
    const row = byKey.get(line.id);
    focusRow(row);
    toggle(row);
  });
  let waiting = 0;
  search.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      state.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      update();
    }, 80);
  });
  onlyBad.addEventListener('change', () => { state.onlyBad = onlyBad.checked; update(); });
  fieldset.addEventListener('change', () => {
    state.verdicts = new Set([...boxes].filter(([, box]) => box.checked).map(([verdict]) => verdict));
    update();
  });
  if ('IntersectionObserver' in window) {
    new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting) && rendered > 0 && rendered < shown.length) renderMore();
    }, { rootMargin: '400px' }).observe(more);
  }

  // ---- One exchange ----

  const term = (name, ...content) => [make('dt', { text: name }), make('dd', {}, ...content)];

  const cardOf = (row) => {
    const facts = make('dl');
    // A message that came in one packet took no time.
    const gaps = Object.entries(row.took).filter(([name, figure]) => !(name.endsWith('_duration') && figure === '0.000'));
    if (gaps.length > 0) {
      facts.append(...term('Gaps', ...gaps.map(([name, figure]) => make('div', { class: 'gap' }, make('span', { text: `${figure} ms` }),
        make('span', {}, make('code', { text: name }), make('span', { class: 'words', text: ` ${data.gaps[name]}` }))))));
    }
    if (row.envoy.length > 0) {
      facts.append(...term('Envoy would log', ...row.envoy.map((place) => make('div', {}, make('b', { text: place.flags }),
        ` ${place.place}${place.guess ? ' (a guess)' : ''}`))));
    }
    if (row.findings.length > 0) {
      facts.append(...term('Found', ...row.findings.map((found) => make('div', {}, make('code', { text: found.kind }),
        found.ms === '0.000' ? '' : `, ${found.ms} ms`,
        found.frames === '' ? '' : make('span', { class: 'dim', text: ` (frame${found.frames.includes(',') ? 's' : ''} ${found.frames})` }))),
      row.findings_more ? make('div', { class: 'dim', text: `… and ${row.findings_more} more` }) : null));
    }
    facts.append(...term('Certainty', row.doubt ? make('span', {}, make('b', { class: 'doubt', text: 'uncertain' }), ' ', make('code', { text: row.doubt.name }),
      `: ${row.doubt.words}`) : 'certain'));
    if (row.stream) facts.append(...term('Stream', String(row.stream)));
    const messages = (count) => (count === null ? 'an unknown number' : String(count));
    if (row.call) facts.append(...term('Messages', `${messages(row.call.sent)} sent, ${messages(row.call.answered)} in the answer`));
    if (row.frames) facts.append(...term('WebSocket', `${row.frames.all ? '' : 'at least '}${row.frames.sent} frames sent, ${row.frames.answered} received`));
    if (row.events !== undefined) facts.append(...term('Events', messages(row.events)));
    if (row.request_id) facts.append(...term('Request id', make('code', { text: row.request_id })));
    if (row.trace_id) facts.append(...term('Trace', make('code', { text: row.trace_id })));
    facts.append(...term('Wireshark', make('code', { text: row.filter }), copier(row.filter)));
    const cut = make('span', { hidden: true, text: ' Where a bar is broken, time is left out.' });
    const drawing = make('div', { class: 'paper', 'data-key': row.key });
    const [sign, ink] = SIGNS.get(row.good);
    const came = `${named(row)}${row.status === undefined ? '' : ` ${row.status}`}${row.call?.status ? ` ${row.call.status}` : ''}`;
    return make('div', { class: 'card' },
      make('div', { class: 'head' }, make('span', { class: 'full', text: row.request }),
        make('span', { class: `came ${ink}`, title: data.verdicts[row.verdict] }, make('span', { class: 'sign', text: sign }), ' ', make('code', { text: came })),
        seen ? make('a', { href: `#seen-${row.key}`, text: 'on the drawing', title: 'Where it is on the drawing of the capture' }) : null,
        make('a', { href: `#${row.key}`, text: `${row.kind} ${row.id}`, title: 'A link to this timeline' })),
      make('p', { class: 'parties dim' }, make('code', { text: ended(row.client_name, row.client) }), row.sidecar ? ' (Istio’s sidecar)' : '', ' → ',
        make('code', { text: ended(row.server_name, row.server) }), ...(row.host ? [', host ', make('code', { text: row.host })] : []),
        ...(row.source ? [', frames of ', make('code', { text: row.source })] : [])),
      make('p', { class: 'said', text: row.said }),
      make('div', { class: 'both' }, make('div', {}, drawing, make('p', { class: 'caption' }, 'Bars between the arrows are to scale.', cut)), facts));
  };

  const copier = (text) => {
    const button = make('button', { type: 'button', text: 'Copy', 'aria-label': 'Copy the display filter' });
    const done = (said) => {
      button.textContent = said;
      setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    };
    const oldWay = () => {
      const area = make('textarea', { readonly: true, 'aria-hidden': 'true' });
      area.value = text;
      document.body.append(area);
      area.select();
      const copied = document.execCommand('copy');
      area.remove();
      button.focus();
      done(copied ? 'Copied' : 'Not copied');
    };
    button.addEventListener('click', () => {
      if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => done('Copied'), oldWay);
      else oldWay();
    });
    return button;
  };

  // ---- The drawing ----

  const redrawAll = () => {
    const columns = columnsShown();
    for (const cell of body.querySelectorAll('.detail')) cell.colSpan = columns;
    for (const paper of body.querySelectorAll('.paper')) redraw(paper);
  };
  const redraw = (paper) => {
    const width = isPrinting ? 500 : Math.round(Math.min(paper.clientWidth || 560, 620));
    if (paper.dataset.width === String(width)) return;
    paper.dataset.width = String(width);
    const { picture, cut } = drawingOf(byKey.get(paper.dataset.key), width);
    paper.replaceChildren(picture);
    paper.parentElement.querySelector('.caption > span').hidden = !cut;
  };
  window.addEventListener('resize', redrawAll);

  /** How long the bar of each gap is: to scale, but one that would swamp all others together is cut. */
  const barsOf = (lines) => {
    const gaps = lines.map((line, index) => index === 0 ? 0 : Math.max(0, line.us - lines[index - 1].us));
    const sum = gaps.reduce((a, b) => a + b, 0);
    const longest = Math.max(...gaps);
    const rest = sum - longest;
    const isCut = rest > 0 && longest > 8 * rest;
    const scale = sum === 0 ? 0 : isCut ? 90 / rest : (isPrinting ? 130 : 220) / sum;
    const CUT = 84;
    return gaps.map((gap) => {
      const cut = isCut && gap === longest;
      return { cut, scale, gap, length: cut ? CUT : gap * scale };
    });
  };

  /** How far into a bar a moment is; beside a cut, from the end it is nearer to. */
  const along = (bar, us) => {
    if (!bar.cut) return us * bar.scale;
    const half = bar.length / 2 - 8;
    const [begin, end] = [us * bar.scale, (bar.gap - us) * bar.scale];
    if (end <= half) return bar.length - end;
    return begin <= half ? begin : bar.length / 2;
  };

  const drawingOf = (row, width) => {
    const LEFT = 84;
    const [client, server] = [LEFT + 10, width - 22];
    const most = Math.max(12, Math.floor((server - client - 14) / 6.5));
    const picture = draw('svg', { class: 'drawing', role: 'img' });
    const back = draw('g');
    const front = draw('g');
    picture.append(back, front);
    const write = (x, y, text, kind = '', anchor = 'start') => {
      const isLong = text.length > most && x > LEFT;
      front.append(draw('text', { x, y, class: kind, 'text-anchor': anchor }, isLong ? `${text.slice(0, most - 1)}…` : text,
        isLong ? draw('title', { text }) : null));
    };
    write(client, 12, 'client', 'lane', 'middle');
    write(server, 12, 'server', 'lane', 'middle');
    write(0, 12, 'frame, s', 'dim');

    const lines = row.lines;
    const bars = barsOf(lines);
    const timeout = row.timeout;
    const said = [];
    let marked = !timeout;
    let y = 14;
    lines.forEach((line, index) => {
      const bar = bars[index];
      const top = y + 8;
      if (index > 0) {
        barOf(back, client, top, bar);
        const before = lines[index - 1].us;
        const isHere = !marked && timeout.us >= before && timeout.us <= line.us;
        const zone = Math.max(bar.length, isHere ? 40 : 14);
        let middle = top + zone / 2 + 4;
        if (isHere) {
          marked = true;
          const at = top + along(bar, timeout.us - before);
          // Its words stand above its line, unless the arrow before is there; the gap's stand clear of both.
          const isBelow = at < top + 16;
          timeoutAt(front, client, server, at, isBelow, timeout);
          if (isBelow) middle = Math.max(middle, at + 28);
          else if (middle > at - 18) middle = at - 18 >= top + 8 ? at - 18 : at + 16;
        }
        write(client + (bar.cut ? 16 : 10), middle, `${line.step} ms`, 'dim step');
        y = Math.max(top + zone, middle) + 4;
      }
      const labels = [[line.what, line.ink ?? 'what']];
      if (line.gap) labels.push([line.gap, 'dim']);
      if (line.source) labels.push([line.source, 'dim']);
      if (line.comment) labels.push([`“${line.comment}”`, 'dim']);
      for (const [text, kind] of labels) {
        y += 15;
        write(client + 10, y, text, kind);
      }
      y += 7;
      arrowOf(front, line, client, server, y);
      write(0, y - 3, String(line.frame), 'frame');
      write(0, y + 11, line.at, 'dim');
      said.push(`frame ${line.frame} at ${line.at} s, from the ${line.from}: ${line.what}${line.step ? `, ${line.step} ms after the frame before` : ''}`);
    });
    if (!marked && timeout.us > (lines.at(-1)?.us ?? 0)) {
      // Beyond what was seen: only that it is later is to be shown.
      const bar = { cut: true, length: 34 };
      barOf(back, client, y + 12, bar);
      timeoutAt(front, client, server, y + 62, false, timeout);
      y += 62;
    }
    y += 18;
    back.prepend(draw('path', { class: 'lifeline', d: `M${client} 18V${y}M${server} 18V${y}` }));
    if (timeout) said.push(`timeout ${timeout.text}, ${timeout.guess ? 'a guess' : 'announced'}`);
    picture.setAttribute('viewBox', `0 0 ${width} ${y}`);
    picture.setAttribute('aria-label', `Timeline. ${said.join('; ')}.`);
    picture.setAttribute('width', width);
    picture.setAttribute('height', y);
    return { picture, cut: bars.some((bar) => bar.cut) };
  };

  const barOf = (back, x, top, bar) => {
    if (bar.length < 1) return;
    back.append(draw('path', { class: 'bar-of', d: `M${x} ${top}V${top + bar.length}`, 'data-length': bar.length.toFixed(1) }));
    if (!bar.cut) return;
    const middle = top + bar.length / 2;
    const zigzag = (dy) => `M${x - 9} ${middle + 3 + dy}l6 -6l6 6l6 -6`;
    back.append(draw('path', { class: 'cut', d: `M${x - 9} ${middle}h18` }), draw('path', { class: 'cut-edge', d: zigzag(-5) + zigzag(5) }));
  };

  const timeoutAt = (front, client, server, y, isBelow, timeout) => {
    front.append(draw('path', { class: 'timeout', d: `M${client - 9} ${y}H${server}` }),
      draw('text', { x: server - 8, y: isBelow ? y + 12 : y - 4, class: 'timeout-label', 'text-anchor': 'end' }, `timeout ${timeout.text}, ${timeout.guess ? 'a guess' : 'announced'}`));
  };

  const arrowOf = (front, line, client, server, y) => {
    const ink = line.ink ?? '';
    const [from, to] = line.from === 'client' ? [client, server] : [server, client];
    const back = Math.sign(from - to);
    front.append(draw('g', { class: 'packet', 'data-frame': line.frame, 'data-from': line.from },
      draw('path', { class: `arrow ${ink}`, d: `M${from} ${y}H${to + back * 7}` }),
      draw('path', { class: `head-of ${ink}`, d: `M${to + back} ${y}l${back * 9} -4.5v9z` })));
  };

  // ---- The whole capture ----

  // The still picture is there already. This one is drawn anew for the window's width, can be zoomed, and its points picked.
  const seen = data.seen ? atAGlance(data.seen) : null;

  function atAGlance(seen) {
    const VERDICTS = Object.keys(data.verdicts);
    const [waits, bars] = ['seen-waits', 'seen-connections'].map((id) => document.getElementById(id));
    const [FIRST, LAST] = seen.decades;
    const DECADES = ['1 µs', '10 µs', '0.1 ms', '1 ms', '10 ms', '100 ms', '1 s', '10 s', '100 s', '1000 s'];
    const ALL = Math.max(seen.us, 1);
    const [MARK, PLOT, UNKNOWN, ROW] = [14, 230, 16, 16];
    const TOP = 10 + (seen.marks.length > 0 ? 2 * MARK : 0);
    /** The shortest length of time that is shown, in microseconds. */
    const SHORTEST = 10;

    /** Dots and cells in the order of time. */
    const items = [];
    for (const of of seen.classes) {
      for (const [us, wait, id, verdict] of of.dots) items.push({ of, us, wait, id, verdict: VERDICTS[verdict], count: 1 });
      for (const [us, row, count, id] of of.cells) {
        const wait = row < 0 ? -1 : 10 ** ((row + 0.5) / seen.per_decade);
        items.push({ of, us: us + of.width / 2, wait, id, count, cell: { us, row } });
      }
    }
    items.sort((a, b) => a.us - b.us || a.wait - b.wait);
    const byId = new Map(items.filter((item) => !item.cell).map((item) => [item.id, item]));
    const hasUnknown = items.some((item) => item.wait < 0);

    let view = { from: 0, to: ALL };
    let picked = null;
    let placed = [];
    let frame = {};

    const tool = (text, words, click) => make('button', { type: 'button', text, title: words, 'aria-label': words, click });
    const span = make('span', { class: 'dim', id: 'seen-span' });
    const buttons = {
      out: tool('−', 'Zoom out', () => zoom(2)), in: tool('+', 'Zoom in', () => zoom(0.5)),
      earlier: tool('◀', 'Earlier', () => move(-0.5)), later: tool('▶', 'Later', () => move(0.5)), all: tool('All', 'The whole capture', () => show(0, ALL)),
    };
    document.getElementById('seen-tools').append(make('div', { class: 'tools', role: 'group', 'aria-label': 'Zoom of the drawing' }, ...Object.values(buttons), span));
    const help = make('p', { class: 'caption', id: 'seen-keys', text: 'Drag to zoom, click to pick. Keys: ←\u00a0→ from point to point, ↑\u00a0↓ between those that did not go well, +\u00a0− zoom, 0 all of it, Enter the timeline.' });
    const reading = make('p', { class: 'reading-of', role: 'status' });
    document.getElementById('seen-picked').append(reading, help);
    for (const [picture, words] of [[waits, 'The exchanges by time and wait'], [bars, 'The connections by time']]) {
      if (!picture) continue;
      const around = picture.parentElement;
      around.classList.remove('scroll');
      for (const name of ['tabindex', 'role', 'aria-labelledby']) around.removeAttribute(name);
      fill(picture, { role: 'application', tabindex: '0', 'aria-label': `${words}. ${picture.getAttribute('aria-label')}`, 'aria-describedby': 'seen-keys' }, []);
    }

    // -- Where things lie

    const xOf = (us) => frame.left + (us - view.from) / (view.to - view.from) * (frame.right - frame.left);
    const usAt = (x) => view.from + (x - frame.left) / (frame.right - frame.left) * (view.to - view.from);
    const bottom = TOP + PLOT;
    const along = (wait) => Math.min(1, Math.max(0, (Math.log10(Math.max(wait, 1)) - FIRST) / (LAST - FIRST)));
    const yOf = (wait) => wait < 0 ? bottom + UNKNOWN / 2 : bottom - along(wait) * PLOT;
    const near = (x) => Math.min(frame.right, Math.max(frame.left, x));
    const isSeen = (us) => us >= view.from && us <= view.to;

    /** A moment with as many digits as a step asks for. */
    const moment = (us, step) => {
      if (us === 0) return '0';
      const digits = (unit) => Math.max(0, Math.ceil(Math.log10(unit / step) - 1e-9));
      if (view.to < 1e6) return `${(us / 1e3).toFixed(digits(1e3))} ms`;
      if (step < 60e6) return `${(us / 1e6).toFixed(digits(1e6))} s`;
      const minutes = Math.round(us / 60e6);
      return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ''}`;
    };
    const stepOf = (length, most) => {
      for (let step = 1; step < 20e6; step *= 10) {
        for (const factor of [1, 2, 5]) if (length / (step * factor) <= most) return step * factor;
      }
      const long = [60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map((seconds) => seconds * 1e6);
      return long.find((step) => length / step <= most) ?? Math.ceil(length / most / 86400e6) * 86400e6;
    };
    const millis = (us) => us < 100000 ? `${(us / 1000).toFixed(3)} ms` : us < 10e6 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1e6).toFixed(1)} s`;
    const seconds = (us) => `${(us / 1e6).toFixed(6)} s`;

    // -- Drawing

    const f = (number) => number.toFixed(1);
    const SHAPES = {
      good: (x, y) => `M${x} ${y}h0`,
      unknown: (x, y, r) => `M${f(x - r)} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
      answered: (x, y, r) => `M${f(x - r)} ${f(y - r)}h${2 * r}v${2 * r}h${-2 * r}z`,
      client: (x, y, r) => `M${f(x - r)} ${f(y - r)}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`,
      server: (x, y, r) => `M${x} ${f(y - 1.2 * r)}l${f(1.2 * r)} ${f(2.2 * r)}h${f(-2.4 * r)}z`,
    };
    const sizeOf = (count) => Math.min(2.4, 1 + Math.log10(count) / 2.5);
    const darkness = (count) => count < 2 ? 0 : count < 10 ? 1 : count < 100 ? 2 : 3;
    const write = (x, y, text, kind, anchor, most = Infinity) =>
      draw('text', { x: f(x), y: f(y), class: kind, 'text-anchor': anchor }, text.length > most ? `${text.slice(0, most - 1)}…` : text);

    const gridOf = (top, base, named) => {
      const step = stepOf(view.to - view.from, Math.max(3, Math.floor((frame.right - frame.left) / 90)));
      let lines = '';
      const names = [];
      const first = Math.ceil(view.from / step);
      // Counted, because a step may be lost in a number that is very large.
      for (let nth = 0; nth < 64 && (first + nth) * step <= view.to; nth += 1) {
        const us = (first + nth) * step;
        lines += `M${f(xOf(us))} ${top}V${base}`;
        // Beside the name of the lowest wait there is no room.
        if (named) names.push(write(xOf(us), base + 14, moment(us, step), null, xOf(us) < frame.left + 20 ? 'start' : 'middle'));
      }
      return [draw('path', { class: 'grid', d: lines }), ...names];
    };

    const drawWaits = () => {
      if (!waits) return;
      const base = bottom + (hasUnknown ? UNKNOWN : 0);
      const parts = gridOf(TOP, base, true);
      let levels = '';
      for (let decade = FIRST; decade <= LAST; decade += 1) {
        const y = yOf(10 ** decade);
        levels += `M${frame.left} ${f(y)}H${frame.right}`;
        parts.push(write(frame.left - 8, y + 3.5, DECADES[decade], null, 'end'));
      }
      if (hasUnknown) parts.push(write(frame.left - 8, bottom + UNKNOWN / 2 + 3.5, frame.narrow ? '?' : 'not known', null, 'end'));
      parts.unshift(draw('path', { class: 'grid', d: levels }));
      const taken = [[], []];
      for (const mark of seen.marks) {
        if (mark.to < view.from || mark.from > view.to) continue;
        const [from, to] = [near(xOf(mark.from)), near(xOf(mark.to))];
        parts.push(draw('rect', { class: `mark ${mark.kind}`, x: f(from), y: TOP, width: f(Math.max(1, to - from)), height: base - TOP }, draw('title', {}, mark.text)));
        if (isSeen(mark.from)) parts.push(draw('path', { class: `edge ${mark.kind}`, d: `M${f(from)} ${TOP}V${base}` }));
        // Words that would stand on others are left out: a mark says its own.
        const row = mark.kind === 'ended' ? 0 : 1;
        const late = from > (frame.left + frame.right) / 2;
        const text = frame.narrow ? mark.text.split(': ')[0] : mark.text;
        const long = text.length * 6.2;
        const [left, right] = late ? [from - 3 - long, from - 3] : [from + 3, from + 3 + long];
        if (left < 0 || right > frame.width || taken[row].some(([begin, end]) => right >= begin && left <= end)) continue;
        taken[row].push([left, right]);
        parts.push(write(late ? right : left, 11 + MARK * row, text, mark.kind, late ? 'end' : 'start'));
      }
      placed = [];
      for (const of of seen.classes) {
        const group = draw('g', { class: `dots ${of.name}` });
        const paths = new Map();
        const add = (kind, path) => paths.set(kind, (paths.get(kind) ?? '') + path);
        for (const item of items) {
          if (item.of !== of) continue;
          const wide = item.cell ? of.width : 0;
          if (item.us + wide / 2 < view.from || item.us - wide / 2 > view.to) continue;
          const [x, y] = [near(xOf(item.us)), yOf(item.wait)];
          placed.push({ item, x, y });
          if (item.cell && of.name === 'good') {
            const [from, to] = [near(xOf(item.us - wide / 2)), near(xOf(item.us + wide / 2))];
            const height = PLOT / (LAST - FIRST) / seen.per_decade;
            add(`cell many-${darkness(item.count)}`, `M${f(from)} ${f(y - height / 2)}h${f(Math.max(1.5, to - from))}v${f(height)}h${f(-Math.max(1.5, to - from))}z`);
          } else {
            add(`shape ${of.name}`, SHAPES[of.name](+f(x), +f(y), +f(3.5 * sizeOf(item.count))));
          }
        }
        for (const [kind, d] of paths) group.append(draw('path', { class: kind, d }));
        parts.push(group);
      }
      let lastLabel = -Infinity;
      for (const timer of [...seen.timers].sort((a, b) => b.us - a.us)) {
        const y = yOf(timer.us);
        parts.push(draw('path', { class: 'timer', d: `M${frame.left} ${f(y)}H${frame.right}` }));
        // Labels that would stand on each other are left out; their lines say their names.
        parts.at(-1).append(draw('title', {}, timer.text));
        if (y - lastLabel < 11) continue;
        lastLabel = y;
        parts.push(write(frame.right + 5, y + 3.5, frame.narrow ? timer.text.split(',')[0] : timer.text, 'timer', 'start', Math.floor((frame.width - frame.right) / 5.4)));
      }
      const at = picked && picked.us !== undefined && isSeen(picked.us) ? picked : null;
      if (at) parts.push(draw('circle', { class: 'picked', cx: f(near(xOf(at.us))), cy: f(yOf(at.wait)), r: 8 }));
      dress(waits, base + 20, parts);
    };

    const drawBars = () => {
      if (!bars) return;
      const height = 6 + ROW * seen.bars.length;
      const parts = gridOf(0, height, !waits);
      seen.bars.forEach((bar, index) => {
        const y = 3 + ROW * (index + 0.5);
        const label = frame.narrow ? `#${bar.id}` : bar.label;
        const row = draw('g', {}, draw('title', {}, bar.text), write(frame.left - 8, y + 3.5, label, null, 'end'));
        if (picked && picked.bar === bar) row.append(draw('rect', { class: 'picked', x: frame.left, y: f(y - 7), width: frame.right - frame.left, height: 14, rx: 3 }));
        if (bar.to >= view.from && bar.from <= view.to) {
          const [from, to] = [near(xOf(bar.from)), near(xOf(bar.to))];
          row.append(draw('path', { class: 'open', d: `M${f(from)} ${f(y)}H${f(Math.max(to, from + 1))}` }));
          const paths = new Map();
          for (const [begin, end, of] of bar.busy) {
            if (end < view.from || begin > view.to) continue;
            const x = near(xOf(begin));
            paths.set(of, `${paths.get(of) ?? ''}M${f(x)} ${f(y)}H${f(Math.max(near(xOf(end)), x + 1.5))}`);
          }
          for (const [of, d] of [...paths].sort(([a], [b]) => a - b)) row.append(draw('path', { class: `busy ${CLASSES[of]}`, d }));
          if (bar.closed && isSeen(bar.to)) row.append(draw('path', { class: bar.bad ? 'closed bad' : 'closed', d: `M${f(to)} ${f(y - 4.5)}v9` }));
        }
        row.append(write(frame.right + 5, y + 3.5, bar.ending, bar.bad ? 'bad' : 'ending', 'start'));
        parts.push(row);
      });
      dress(bars, height + (waits ? 0 : 20), parts);
    };
    const CLASSES = ['good', 'unknown', 'answered', 'client', 'server'];

    const dress = (picture, height, parts) => {
      picture.setAttribute('viewBox', `0 0 ${frame.width} ${height}`);
      picture.style = '';
      picture.replaceChildren(...parts);
    };

    const redraw = () => {
      const width = Math.max(300, Math.round((waits ?? bars).parentElement.clientWidth || 900));
      const narrow = width < 640;
      frame = { width, narrow, left: narrow ? 52 : 150, right: width - (narrow ? 64 : 126) };
      drawWaits();
      drawBars();
      span.textContent = spanInWords();
      const all = isAll();
      // Whoever has pressed a button may want to press it again: it is not taken away.
      for (const [name, off] of [['out', all], ['all', all], ['earlier', view.from <= 0], ['later', view.to >= ALL], ['in', view.to - view.from <= SHORTEST]]) {
        buttons[name].setAttribute('aria-disabled', String(off));
      }
    };

    // -- Zoom and picks

    const isAll = () => view.from <= 0 && view.to >= ALL;
    const spanInWords = () => isAll() ? '' : `${seconds(view.from)} to ${seconds(view.to)}`;
    const show = (from, to) => {
      const length = Math.min(ALL, Math.max(SHORTEST, to - from));
      const begin = Math.min(Math.max(0, from), ALL - length);
      view = { from: begin, to: begin + length };
      link();
      redraw();
    };
    const zoom = (factor, at = picked?.us) => {
      const length = view.to - view.from;
      const middle = at !== undefined && isSeen(at) ? at : view.from + length / 2;
      const share = (middle - view.from) / length;
      show(middle - length * factor * share, middle + length * factor * (1 - share));
    };
    const move = (by) => {
      const length = view.to - view.from;
      show(view.from + by * length, view.to + by * length);
    };
    const hashOf = () => {
      const part = isAll() ? '' : `-${Math.round(view.from)}-${Math.round(view.to)}`;
      return `seen${part}${picked?.key ? `-${picked.key}` : ''}`;
    };
    const link = () => remember(hashOf());

    const opener = (key) => byKey.has(key) ? make('a', { href: `#${key}`, class: 'opens', text: 'Open its timeline' }) : null;
    const say = (...parts) => reading.replaceChildren(...parts.filter(Boolean));
    const linked = () => make('a', { href: `#${hashOf()}`, text: 'Link to this point', title: 'A link to this point, as it is shown now' });

    const pick = (item) => {
      const row = byKey.get(`exchange-${item.id}`);
      if (item.cell) {
        const [from, to] = [item.cell.us, item.cell.us + item.of.width];
        const lower = 10 ** (item.cell.row / seen.per_decade);
        const waited = item.cell.row < 0 ? 'their wait is not known' : `waited ${millis(lower)} to ${millis(lower * 10 ** (1 / seen.per_decade))}`;
        picked = { ...item, item, key: `exchange-${item.id}` };
        say(make('b', { text: `${item.count.toLocaleString('en')} exchange${item.count === 1 ? '' : 's'}, ${item.of.words}` }),
          `, began ${seconds(Math.max(0, from))} to ${seconds(to)}, ${waited}. The slowest is exchange ${item.id}${row ? `, ${row.request}` : ''}. `,
          opener(picked.key), ' ', linked());
      } else {
        picked = { ...item, item, key: `exchange-${item.id}` };
        say(make('b', { class: item.of.name === 'good' ? 'good' : item.of.name === 'unknown' ? 'doubt' : 'bad', text: row ? named(row) : item.verdict }),
          ` exchange ${item.id}${row ? `, ${row.request}` : ''}, began at ${seconds(item.us)}, ${item.wait < 0 ? 'its wait is not known' : `waited ${millis(item.wait)}`}. `,
          opener(picked.key), row ? null : make('span', { class: 'dim', text: 'It is not on this page one by one.' }), ' ', linked());
      }
      finishPick();
    };
    const pickBar = (bar, busy) => {
      picked = { bar, busy, key: `connection-${bar.id}` };
      if (busy) {
        const key = `exchange-${busy[3]}`;
        const row = byKey.get(key);
        const item = byId.get(busy[3]);
        picked = { ...(item ?? {}), bar, busy, key };
        say(make('b', { text: `exchange ${busy[3]}${row ? `, ${row.request}` : ''}` }), ` from ${seconds(busy[0])} to ${seconds(busy[1])}, on ${bar.text}. `, opener(key), ' ', linked());
      } else {
        say(make('b', { text: bar.text }), '. ', opener(picked.key), ' ', linked());
      }
      finishPick();
    };
    const finishPick = () => {
      if (picked.us !== undefined && !isSeen(picked.us)) {
        const length = view.to - view.from;
        show(picked.us - length / 2, picked.us + length / 2);
      } else {
        link();
        redraw();
      }
    };
    const unpick = () => {
      picked = null;
      reading.replaceChildren();
      link();
      redraw();
    };
    const open = () => {
      const there = reading.querySelector('a.opens');
      if (there) there.click();
    };

    // -- Mouse and fingers

    const place = (picture, event) => {
      const box = picture.getBoundingClientRect();
      const scale = frame.width / box.width;
      return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    };
    for (const picture of [waits, bars].filter(Boolean)) {
      let begin = null;
      let band = null;
      picture.addEventListener('pointerdown', (event) => {
        if (event.button !== 0) return;
        begin = place(picture, event);
        picture.setPointerCapture(event.pointerId);
      });
      picture.addEventListener('pointermove', (event) => {
        const [x, y] = place(picture, event);
        if (!begin) return hover(picture === waits && event.pointerType === 'mouse' ? nearest(x, y) : null);
        if (!band && Math.abs(x - begin[0]) < 6) return;
        if (!band) picture.append(band = draw('rect', { class: 'band', y: 0, height: picture.viewBox.baseVal.height }));
        const [from, to] = [near(Math.min(x, begin[0])), near(Math.max(x, begin[0]))];
        fill(band, { x: f(from), width: f(to - from) }, []);
      });
      const end = (event, counts) => {
        if (!begin) return;
        const [x, y] = place(picture, event);
        const from = begin;
        const wasBand = band;
        band?.remove();
        begin = band = null;
        if (!counts) return;
        if (wasBand) {
          const ends = [near(from[0]), near(x)].map(usAt).sort((a, b) => a - b);
          if (ends[1] - ends[0] > 0) show(...ends);
        } else if (picture === waits) pickNear(x, y);
        else pickRow(x, y);
      };
      picture.addEventListener('pointerup', (event) => end(event, true));
      picture.addEventListener('pointerleave', () => hover(null));
      picture.addEventListener('pointercancel', (event) => end(event, false));
      picture.addEventListener('dblclick', () => show(0, ALL));
      picture.addEventListener('wheel', (event) => {
        // Without Ctrl, which a pinch has too, the page is scrolled.
        if (!event.ctrlKey) return;
        event.preventDefault();
        zoom(event.deltaY > 0 ? 1.4 : 1 / 1.4, usAt(near(place(picture, event)[0])));
      }, { passive: false });
      picture.addEventListener('keydown', (event) => {
        if (event.ctrlKey || event.altKey || event.metaKey) return;
        const act = KEYS_OF_BOTH.get(event.key) ?? (picture === waits ? KEYS_OF_WAITS : KEYS_OF_BARS).get(event.key);
        if (!act) return;
        event.preventDefault();
        act();
      });
    }

    const nearest = (x, y) => {
      let best = null;
      let least = 16;
      for (const one of placed) {
        // Of two as near the more telling: it is drawn later, on top.
        const far = Math.hypot(one.x - x, one.y - y) - (one.item.cell ? 4 : 0);
        if (far <= least) [best, least] = [one, far];
      }
      return best;
    };
    const pickNear = (x, y) => {
      const best = nearest(x, y);
      if (best) pick(best.item);
      else if (picked) unpick();
    };
    /** What a click would pick, while the mouse is there. */
    const hover = (one) => {
      if (!waits) return;
      waits.querySelector('.hovered')?.remove();
      waits.style.cursor = one ? 'pointer' : '';
      span.textContent = one ? briefly(one.item) : spanInWords();
      if (one) waits.append(draw('circle', { class: 'picked hovered', cx: f(one.x), cy: f(one.y), r: 8 }));
    };
    const briefly = (item) => item.cell ? `${item.count.toLocaleString('en')}: ${item.of.words}`
      : `exchange ${item.id}: ${byKey.get(`exchange-${item.id}`)?.request ?? item.verdict}${item.wait < 0 ? '' : `, ${millis(item.wait)}`}`;
    const pickRow = (x, y) => {
      const bar = seen.bars[Math.floor((y - 3) / ROW)];
      if (!bar) return;
      const us = usAt(x);
      const slack = usAt(x + 5) - us;
      pickBar(bar, bar.busy.find(([from, to]) => us >= from - slack && us <= to + slack));
    };

    // -- Keys

    const step = (by, wanted) => {
      const shown = items.filter((item) => item === picked?.item || wanted(item));
      if (shown.length === 0) return;
      const at = shown.indexOf(picked?.item);
      const inView = shown.findIndex((item) => isSeen(item.us));
      const next = at >= 0 ? at + by : by > 0 || inView < 0 ? Math.max(0, inView) : shown.length - 1;
      pick(shown[Math.min(shown.length - 1, Math.max(0, next))]);
    };
    const any = () => true;
    const isBad = (item) => item.of.name !== 'good';
    const KEYS_OF_BOTH = new Map([['+', () => zoom(0.5)], ['=', () => zoom(0.5)], ['-', () => zoom(2)], ['0', () => show(0, ALL)], ['Escape', unpick], ['Enter', open]]);
    const KEYS_OF_WAITS = new Map([['ArrowRight', () => step(1, any)], ['ArrowLeft', () => step(-1, any)], ['ArrowDown', () => step(1, isBad)], ['ArrowUp', () => step(-1, isBad)],
      ['Home', () => items.length && pick(items[0])], ['End', () => items.length && pick(items.at(-1))]]);
    const stepBar = (by) => {
      const at = seen.bars.indexOf(picked?.bar);
      pickBar(seen.bars[Math.min(seen.bars.length - 1, Math.max(0, at < 0 ? 0 : at + by))]);
    };
    const stepBusy = (by) => {
      const bar = picked?.bar ?? seen.bars[0];
      if (bar.busy.length === 0) return pickBar(bar);
      const at = bar.busy.indexOf(picked?.busy);
      return pickBar(bar, bar.busy[Math.min(bar.busy.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : bar.busy.length - 1) : at + by))]);
    };
    const KEYS_OF_BARS = new Map([['ArrowDown', () => stepBar(1)], ['ArrowUp', () => stepBar(-1)], ['ArrowRight', () => stepBusy(1)], ['ArrowLeft', () => stepBusy(-1)],
      ['Home', () => pickBar(seen.bars[0])], ['End', () => pickBar(seen.bars.at(-1))]]);

    // -- Links to a point

    /** The cell that has this exchange among others. */
    const cellOf = (row) => {
      if (!row) return undefined;
      const us = Number(row.start) * 1e6;
      const wait = row.took.wait === undefined ? -1 : Math.floor(Math.log10(Math.max(1, Number(row.took.wait) * 1e3)) * seen.per_decade + 1e-9);
      return items.find(({ cell, of }) => cell && cell.row === wait && us >= cell.us - 1 && us <= cell.us + of.width && (of.name === 'good') === (row.good === true));
    };
    const goTo = (hash) => {
      const found = /^seen(?:-(\d+)-(\d+))?(?:-(exchange|connection)-(\d+))?$/.exec(hash);
      if (!found) return false;
      const [, from, to, kind, id] = found;
      if (from !== undefined && Number(to) > Number(from)) show(Number(from), Number(to));
      else if (kind) show(0, ALL);
      const bar = kind === 'connection' ? seen.bars.find((bar) => bar.id === Number(id)) : undefined;
      const item = kind === 'exchange' ? byId.get(Number(id)) ?? items.find((item) => item.id === Number(id)) ?? cellOf(byKey.get(`exchange-${id}`)) : undefined;
      const busy = kind === 'exchange' && !item ? seen.bars.map((bar) => [bar, bar.busy.find((busy) => busy[3] === Number(id))]).find(([, busy]) => busy) : undefined;
      if (item) pick(item);
      else if (busy) pickBar(...busy);
      else if (bar) pickBar(bar);
      else if (kind) say(`${kind} ${id} is not on the drawing.`);
      if (kind || from !== undefined) (waits ?? bars).scrollIntoView({ block: 'center' });
      return true;
    };

    window.addEventListener('resize', redraw);
    redraw();
    return { goTo, redraw };
  }

  // ---- Links to an exchange ----

  const follow = () => {
    const key = decodeURIComponent(location.hash.slice(1));
    if (seen?.goTo(key)) return;
    if (!/^(exchange|connection)-\d+$/.test(key)) return;
    const row = byKey.get(key);
    if (!row) {
      spoken.textContent = `${key.replace('-', ' ')} is not on this page: it is among those that were left out.`;
      return;
    }
    if (!shown.includes(row)) {
      search.value = '';
      onlyBad.checked = false;
      for (const box of boxes.values()) box.checked = true;
      Object.assign(state, { words: [], onlyBad: false, verdicts: new Set(boxes.keys()) });
      update();
    }
    const place = shown.indexOf(row);
    if (place >= rendered) renderMore(place + CHUNK);
    toggle(row, true);
    focusRow(row);
    document.getElementById(row.key).scrollIntoView({ block: 'start' });
  };
  window.addEventListener('hashchange', follow);

  // ---- Paper, and light ----

  let opened = [];
  let unfolded = [];
  window.addEventListener('beforeprint', () => {
    isPrinting = true;
    unfolded = [...document.querySelectorAll('.problems details:not([open])')];
    for (const one of unfolded) one.open = true;
    renderMore(shown.length);
    opened = shown.filter((row) => row.good === false && !state.open.has(row.key)).slice(0, MOST_PRINTED);
    for (const row of opened) {
      const line = document.getElementById(row.key);
      state.open.add(row.key);
      line.classList.add('open');
      line.after(detailOf(row));
    }
    redrawAll();
  });
  window.addEventListener('afterprint', () => {
    isPrinting = false;
    for (const row of opened) {
      state.open.delete(row.key);
      document.getElementById(row.key)?.classList.remove('open');
      document.getElementById(`${row.key}-timeline`)?.remove();
    }
    opened = [];
    for (const one of unfolded) one.open = false;
    redrawAll();
  });

  const theme = document.getElementById('theme');
  const THEMES = ['auto', 'light', 'dark'];
  const store = {
    get: () => { try { return localStorage.getItem('meshsniff-theme'); } catch { return null; } },
    set: (value) => { try { localStorage.setItem('meshsniff-theme', value); } catch { /* Then it is not kept. */ } },
  };
  const wear = (name) => {
    if (name === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    theme.textContent = `Theme: ${name}`;
  };
  let worn = THEMES.includes(store.get()) ? store.get() : 'auto';
  theme.hidden = false;
  theme.addEventListener('click', () => {
    worn = THEMES[(THEMES.indexOf(worn) + 1) % THEMES.length];
    store.set(worn);
    wear(worn);
  });
  wear(worn);

  if (rows.length > 0) update();
  follow();
})();
