
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
    if (row.request_id) facts.append(...term('Request id', make('code', { text: row.request_id })));
    if (row.trace_id) facts.append(...term('Trace', make('code', { text: row.trace_id })));
    facts.append(...term('Wireshark', make('code', { text: row.filter }), copier(row.filter)));
    const cut = make('span', { hidden: true, text: ' Where a bar is broken, time is left out.' });
    const drawing = make('div', { class: 'paper', 'data-key': row.key });
    const [sign, ink] = SIGNS.get(row.good);
    const came = `${named(row)}${row.status === undefined ? '' : ` ${row.status}`}`;
    return make('div', { class: 'card' },
      make('div', { class: 'head' }, make('span', { class: 'full', text: row.request }),
        make('span', { class: `came ${ink}`, title: data.verdicts[row.verdict] }, make('span', { class: 'sign', text: sign }), ' ', make('code', { text: came })),
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

  // ---- Links to an exchange ----

  const follow = () => {
    const key = decodeURIComponent(location.hash.slice(1));
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
  window.addEventListener('beforeprint', () => {
    isPrinting = true;
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

  if (rows.length > 0) {
    update();
    follow();
  }
})();
