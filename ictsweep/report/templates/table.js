"use strict";
/* The table of trials: only the rows in sight are elements, however many there are. */
(() => {
  const SPARE = 12; // rows above and below those in sight, and
  const STEP = 8; // up to so many more, that not every row scrolled by is work
  const PAPER = 500; // rows printed at most
  const table = app.byId("table");
  const view = app.byId("rows");
  const [head] = table.tHead.rows.length ? table.tHead.rows : [table.tHead.insertRow()];
  const body = table.tBodies[0];
  const { columns, numbers } = app.study.table;
  const keys = columns.map((column) => app.column(column.keys));
  const search = app.byId("search");
  const chips = [...document.querySelectorAll(".chip")];
  let texts = null; // of each row, in lower case; made at the first search
  let order = []; // the rows shown, as places in the data
  let height = 32;

  // which rows, in which order ----------------------------------------------------------------------------------
  const fits = ({ q, off, pick }) => {
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !texts) texts = numbers.map((_, row) => columns.map((column) => column.texts[row]).join(" ").replace(/\u2060/g, "").toLowerCase() + ` ${(app.trials[row].note || "")}`);
    return (row) => !off.has(app.trials[row].label) && (pick === null || pick.has(numbers[row])) && words.every((word) => texts[row].includes(word));
  };
  const compare = (column, down) => {
    const key = keys[column], { texts: said } = columns[column], sign = down ? -1 : 1;
    if (key === null) return (a, b) => sign * said[a].localeCompare(said[b], "en", { numeric: true }) || a - b;
    return (a, b) => {
      const [x, y] = [key[a], key[b]];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b; // nothing sorts last, always
      return sign * (x - y) || a - b;
    };
  };
  app.shownTrials = () => order.map((row) => numbers[row]);

  // elements ----------------------------------------------------------------------------------------------------
  const widths = columns.map((column, i) => {
    let most = column.head.length + 3;
    const few = Math.min(numbers.length, 400);
    for (let row = 0; row < few; row += 1) most = Math.max(most, column.texts[row].length + (i === 0 ? (app.trials[row].note || "").length + 1 : 0));
    return Math.min(i === columns.length - 1 ? 64 : 26, most);
  });
  const heads = columns.map((column, i) => {
    const button = app.el("button", { type: "button" }, app.bdi(column.head));
    const cell = app.el("th", { scope: "col", title: column.name, style: `width: calc(${widths[i]}ch + 1.4rem)`, ...(column.numeric && { class: "number" }) }, button);
    button.addEventListener("click", () => app.change({ sort: i, down: app.state.sort === i && !app.state.down }));
    head.append(cell);
    return cell;
  });
  const cells = (row, hide) => columns.flatMap((column, i) => {
    if (hide.has(i)) return [];
    const trial = app.trials[row], text = column.texts[row];
    if (i === 0) {
      const link = app.el("a", { href: `#trial-${trial.n}` }, text);
      return [app.el("th", { scope: "row" }, link, trial.note ? app.el("span", { class: "tag" }, ` ${trial.note}`) : null)];
    }
    const dot = column.head === "state" ? app.el("span", { class: "dot", style: `background: var(--${trial.label})`, "aria-hidden": "true" }) : null;
    return [app.el("td", { ...(column.numeric && { class: "number" }), ...(text.length > 20 && { title: text }) }, dot, app.bdi(text))];
  });
  const rowOf = (row, place, hide) => app.el("tr", {
    "data-trial": app.trials[row].n, "data-label": app.trials[row].label, "aria-rowindex": place + 2, ...(numbers[row] === app.study.best && { class: "best" }),
  }, ...cells(row, hide));
  const spacer = (rows, span) => app.el("tr", { class: "spacer", "aria-hidden": "true" }, app.el("td", { colspan: span, style: `height: ${rows * height}px` }));

  let drawn = "", made = new Map(); // place in the order -> its element, of the rows drawn
  const forget = () => { drawn = ""; made = new Map(); };
  const draw = (paper = false) => {
    const top = view.scrollTop / height, bottom = top + (view.clientHeight || 600) / height;
    const first = paper ? 0 : Math.max(0, STEP * Math.floor((top - SPARE) / STEP));
    const end = Math.min(order.length, paper ? PAPER : STEP * Math.ceil((bottom + SPARE) / STEP));
    const sign = `${first} ${end}`;
    if (sign === drawn) return;
    drawn = sign;
    const { hide } = app.state, span = columns.length - hide.size;
    const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.trial : null;
    const kept = made;
    made = new Map();
    for (let place = first; place < end; place += 1) made.set(place, kept.get(place) || rowOf(order[place], place, hide));
    const rows = [...made.values()];
    body.replaceChildren(...(first ? [spacer(first, span)] : []), ...rows, ...(end < order.length && !paper ? [spacer(order.length - end, span)] : []));
    if (focused) body.querySelector(`[data-trial="${focused}"] a`)?.focus({ preventScroll: true });
    if (kept.size) return; // a height once measured stays, and asking for it costs a layout
    const real = rows[0]?.getBoundingClientRect().height;
    if (real && Math.abs(real - height) > 0.5) height = real;
  };
  view.addEventListener("scroll", () => draw(), { passive: true });
  addEventListener("beforeprint", () => {
    if (!app.tableDrawn) arrange(app.state);
    forget();
    draw(true);
    app.byId("printed").hidden = order.length <= PAPER;
    app.byId("printed").textContent = `The first ${PAPER} of ${app.count(order.length, "trial")}.`;
  });
  addEventListener("afterprint", () => { app.byId("printed").hidden = true; forget(); draw(); });

  // following the state -----------------------------------------------------------------------------------------
  const boxes = columns.map((column, i) => {
    const box = app.el("input", { type: "checkbox" });
    box.addEventListener("change", () => {
      const hide = new Set(app.state.hide);
      hide[box.checked ? "delete" : "add"](i);
      app.change({ hide });
    });
    if (i > 0) app.byId("columns").append(app.el("label", {}, box, " ", app.bdi(column.name)));
    return box;
  });
  const same = (a, b) => b && ["q", "off", "sort", "down", "hide", "pick"].every((key) => a[key] === b[key]);
  app.on((state, before) => {
    if (state.view !== "trials" && app.tableDrawn) { app.tableStale ||= !same(state, before); return; }
    if (state.view !== "trials" || (same(state, before) && app.tableDrawn && !app.tableStale)) return;
    arrange(state);
    forget();
    view.scrollTop = before && !same(state, before) ? 0 : view.scrollTop;
    draw();
  });
  const arrange = (state) => {
    app.tableDrawn = true;
    app.tableStale = false;
    const kept = fits(state);
    order = [];
    for (let row = 0; row < numbers.length; row += 1) if (kept(row)) order.push(row);
    const sort = Math.min(state.sort, columns.length - 1);
    order.sort(compare(sort, state.down));
    heads.forEach((cell, i) => {
      cell.ariaSort = i !== sort ? "none" : state.down ? "descending" : "ascending";
      cell.hidden = state.hide.has(i);
      boxes[i].checked = !state.hide.has(i);
    });
    if (search.value !== state.q) search.value = state.q;
    chips.forEach((chip) => { chip.ariaPressed = String(!state.off.has(chip.dataset.label)); });
    app.byId("shown").textContent = `${order.length.toLocaleString("en")} of ${app.count(numbers.length, "trial")}`;
    table.ariaRowCount = String(order.length + 1);
  };
  search.addEventListener("input", () => app.change({ q: search.value }));
  chips.forEach((chip) => chip.addEventListener("click", () => {
    const off = new Set(app.state.off);
    off[chip.ariaPressed === "true" ? "add" : "delete"](chip.dataset.label);
    app.change({ off });
  }));
  app.byId("pick-shown").addEventListener("click", () => app.pick(new Set(app.shownTrials()), "table"));

  // CSV of what is shown ----------------------------------------------------------------------------------------
  const quoted = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const safe = (text) => (/^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text); // a spreadsheet would run it
  app.csv = () => {
    const { hide } = app.state;
    const kept = columns.map((_, i) => i).filter((i) => !hide.has(i));
    const exact = columns.map((column, i) => (column.exact ? app.column(column.exact) : keys[i]));
    const cell = (i, row) => (exact[i] === null || i === 0 ? safe(columns[i].texts[row]) : Number.isNaN(exact[i][row]) ? "" : String(exact[i][row]));
    const lines = [kept.map((i) => safe(columns[i].head)), ...order.map((row) => kept.map((i) => cell(i, row)))];
    return lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
  };
  app.byId("csv").addEventListener("click", () => app.save(`${app.study.study}.csv`, app.csv(), "text/csv"));
})();
