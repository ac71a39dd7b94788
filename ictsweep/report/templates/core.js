"use strict";
/* What all parts share: the study's data, the state of the page and its address, elements. */
const app = {};

(() => {
  app.byId = (id) => document.getElementById(id);
  app.read = (id) => JSON.parse(app.byId(id).textContent);

  // data --------------------------------------------------------------------------------------------------------
  const KINDS = { i4: Int32Array, f4: Float32Array, f8: Float64Array };
  app.column = (packed) => {
    if (packed === null || Array.isArray(packed)) return packed;
    const text = atob(packed.b);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return new KINDS[packed.t](bytes.buffer);
  };

  const once = (make) => {
    let made;
    return () => (made === undefined ? (made = make()) : made);
  };
  app.study = app.read("study");
  app.trials = app.study.trials; // in halving order: the place is the rank
  app.placeOf = new Map(app.trials.map((trial, place) => [trial.n, place]));
  app.trial = (number) => app.trials[app.placeOf.get(number)];
  const columns = (name) => once(() => Object.fromEntries(Object.entries(app.study[name]).map(([k, v]) => [k, app.column(v)])));
  const byTrial = (rows) => once(() => { // place of a trial -> [[length of the run, first row, one past the last], ...]
    const { runs } = rows();
    const found = app.trials.map(() => []);
    for (let i = 0; i < runs.length; i += 4) found[runs[i]].push([runs[i + 1], runs[i + 2], runs[i + 3]]);
    return found;
  });
  app.points = columns("points");
  app.runsOf = byTrial(app.points);
  app.spectra = columns("spectra");
  app.spectraOf = byTrial(app.spectra);

  // state and address -------------------------------------------------------------------------------------------
  // #trials?q=word&off=stopped&sort=-3&hide=4,5&pick=1-5,9&show=progress-1 ; #trial-17
  const listeners = [];
  app.state = { view: "overview", q: "", off: new Set(), sort: 1, down: false, hide: new Set(), pick: null, show: new Set() };
  app.on = (listener) => listeners.push(listener);

  const ranges = (numbers) => {
    const sorted = [...numbers].sort((a, b) => a - b);
    const parts = [];
    for (let i = 0; i < sorted.length;) {
      let j = i;
      while (sorted[j + 1] === sorted[j] + 1) j += 1;
      parts.push(i === j ? `${sorted[i]}` : `${sorted[i]}-${sorted[j]}`);
      i = j + 1;
    }
    return parts.join(",");
  };
  const numbers = (text) => {
    const found = new Set();
    for (const part of text.split(",").filter(Boolean)) {
      const [low, high] = part.split("-").map(Number);
      const last = Number.isInteger(high) ? high : low;
      for (let n = low; Number.isInteger(low) && n <= Math.min(last, low + 1e6); n += 1) if (app.placeOf.has(n)) found.add(n);
    }
    return found;
  };

  const written = ({ view, q, off, sort, down, hide, pick, show }) => {
    const said = new URLSearchParams();
    if (q) said.set("q", q);
    if (off.size) said.set("off", [...off].join(","));
    if (sort !== 1 || down) said.set("sort", `${down ? "-" : ""}${sort}`);
    if (hide.size) said.set("hide", ranges(hide));
    if (pick) said.set("pick", ranges(pick));
    if (show.size) said.set("show", [...show].join(","));
    const text = said.toString().replaceAll("%2C", ",");
    return `#${view}${text ? `?${text}` : ""}`;
  };
  const list = (text) => new Set((text || "").split(",").filter(Boolean));
  const parsed = (hash) => {
    const [view, text] = hash.replace(/^#/, "").split("?");
    const state = { ...app.state, view: known(view) };
    if (text === undefined) return state; // a plain link changes the view alone
    const said = new URLSearchParams(text);
    const sort = said.get("sort") || "1";
    return {
      ...state, q: said.get("q") || "", off: list(said.get("off")), sort: Math.abs(parseInt(sort, 10) || 0),
      down: sort.startsWith("-"), hide: new Set([...list(said.get("hide"))].flatMap((part) => span(part))),
      pick: said.has("pick") ? numbers(said.get("pick")) : null, show: list(said.get("show")),
    };
  };
  const span = (part) => {
    const [low, high = low] = part.split("-").map(Number);
    return Array.from({ length: Math.max(0, Math.min(1000, high - low + 1)) || 0 }, (_, i) => low + i);
  };
  const known = (view) => {
    const number = /^trial-(\d+)$/.exec(view);
    if (number) return app.placeOf.has(Number(number[1])) ? view : "trials";
    return document.querySelector(`[data-tab="${CSS.escape(view || "overview")}"]`) ? view || "overview" : "overview";
  };

  app.change = (patch) => {
    const before = app.state;
    app.state = { ...before, ...patch };
    const address = written(app.state);
    try {
      history[before.view === app.state.view ? "replaceState" : "pushState"](null, "", address);
    } catch { /* an address too long, or none allowed: the page works without */ }
    tell(before);
  };
  const tell = (before) => listeners.forEach((listener) => listener(app.state, before));
  app.pick = (pick, source = "") => { app.pickSource = source; app.change({ pick }); };
  app.open = (number) => app.change({ view: `trial-${number}` });
  app.link = (view) => written({ ...app.state, view });

  const arrive = () => {
    const before = app.state;
    app.pickSource = "";
    app.state = parsed(location.hash);
    const address = written(app.state);
    if (location.hash && location.hash !== address) try { history.replaceState(null, "", address); } catch { /* as above */ }
    tell(before);
  };
  addEventListener("hashchange", arrive);
  app.begin = () => { app.state = parsed(location.hash); tell(null); };

  // elements ----------------------------------------------------------------------------------------------------
  app.el = (tag, attributes = {}, ...children) => { // text is only ever text
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined && value !== false) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== undefined && child !== null));
    return node;
  };
  app.bdi = (text) => app.el("bdi", {}, text);
  app.count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

  app.copy = async (text) => {
    try {
      return await navigator.clipboard.writeText(text);
    } catch { /* no clipboard, or none for pages from disk: the old way */ }
    const area = app.el("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    return area.remove();
  };
  app.save = (name, content, type) => {
    const address = content instanceof Blob || typeof content === "string" && !content.startsWith("data:")
      ? URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type })) : content;
    app.el("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };
})();
