"use strict";
/* One selection for all: brushed axes and regions filter the table and stand out in every figure. */
(() => {
  const LINES = 200; // selected curves drawn at most
  const parallel = app.plot("parallel");

  // parallel coordinates ----------------------------------------------------------------------------------------
  const brushes = (dimension) => { // [[low, high], ...]; plotly gives a single brush without the outer brackets
    const range = dimension.constraintrange || [];
    return Array.isArray(range[0]) ? range : range.length ? [range] : [];
  };
  const within = (dimension, line) => {
    const ranges = brushes(dimension);
    const slack = 1e-6 * Math.abs(dimension.range[1] - dimension.range[0]); // brushes end a rounding error short of a tick
    const value = dimension.values[line];
    return ranges.length === 0 || ranges.some(([low, high]) => low - slack <= value && value <= high + slack);
  };
  const brushed = () => {
    const { dimensions, customdata } = parallel.data[0];
    if (dimensions.every((dimension) => brushes(dimension).length === 0)) return null;
    return new Set(customdata.filter((_, line) => dimensions.every((dimension) => within(dimension, line))));
  };
  const only = async (pick) => { // a selection made elsewhere: its lines alone
    const { data, layout } = app.figure("parallel");
    const [trace] = data;
    if (pick) {
      const kept = trace.customdata.map((number) => pick.has(number));
      const some = (values) => [...values].filter((_, i) => kept[i]);
      trace.customdata = some(trace.customdata);
      trace.line.color = some(trace.line.color);
      trace.dimensions.forEach((dimension) => { dimension.values = some(dimension.values); });
    }
    await Plotly.react(parallel, data, app.adapt(layout, parallel));
  };

  const quiet = (plot) => { // ticks that only let a brush end there: nothing to paint
    for (const text of plot.querySelectorAll(".y-axis .tick text")) if (/^[\u200b\u200c]*$/.test(text.textContent)) text.parentNode.style.display = "none";
  };

  // learning curves ---------------------------------------------------------------------------------------------
  const curvesOf = (pick) => {
    const { kimg, value } = app.points();
    const axes = new Map(app.study.lengths.map((length, i) => [length, i]));
    const chosen = [...pick].sort((a, b) => app.placeOf.get(a) - app.placeOf.get(b)).slice(0, LINES);
    const traces = new Map();
    for (const number of chosen) for (const [length, first, end] of app.runsOf()[app.placeOf.get(number)]) {
      const panel = axes.get(length);
      if (panel === undefined) continue;
      if (!traces.has(panel)) traces.set(panel, { x: [], y: [], customdata: [] });
      const trace = traces.get(panel);
      for (let i = first; i < end; i += 1) { trace.x.push(kimg[i]); trace.y.push(value[i]); trace.customdata.push(number); }
      trace.x.push(null); trace.y.push(null); trace.customdata.push(null);
    }
    return [...traces].map(([panel, trace], i) => ({
      ...trace, type: "scatter", mode: chosen.length > 12 ? "lines" : "lines+markers", name: `selected (${chosen.length})`, legendgroup: "selected", showlegend: i === 0,
      xaxis: panel ? `x${panel + 1}` : "x", yaxis: panel ? `y${panel + 1}` : "y", line: { color: app.tone("accent"), width: chosen.length > 12 ? 1 : 2 },
      marker: { size: 4, color: app.tone("accent") }, hovertemplate: "trial %{customdata}<br>%{y:.4g} at %{x} kimg<extra></extra>",
    }));
  };
  const onCurves = async (plot, pick) => {
    const { data, layout } = app.figure("curves");
    if (pick) data.forEach((trace) => { trace.opacity = 0.25 * (trace.opacity ?? 1); });
    await Plotly.react(plot, pick ? [...data, ...curvesOf(pick)] : data, app.adapt(layout, plot));
  };

  // points ------------------------------------------------------------------------------------------------------
  const onPoints = async (plot, pick) => {
    const traces = [], chosen = [];
    plot.data.forEach((trace, i) => {
      if (!trace.customdata || !/markers/.test(trace.mode || "") || trace.x.length < 2) return;
      traces.push(i);
      if (!pick) { chosen.push(null); return; }
      const found = [];
      const owners = plot._fullData[i]?.customdata || trace.customdata;
      for (let k = 0; k < owners.length; k += 1) if (pick.has(owners[k])) found.push(k);
      chosen.push(found);
    });
    if (traces.length) await Plotly.restyle(plot, { selectedpoints: chosen }, traces);
  };

  const shown = new Map(); // figure -> the selection it shows
  const show = async (name, plot, pick) => {
    if (!plot || plot.offsetParent === null || !app.drawn.has(name) || (shown.get(name) ?? null) === pick) return;
    shown.set(name, pick);
    if (name === "parallel") { if (app.pickSource !== "parallel") await only(pick); } else if (name === "curves") await onCurves(plot, pick);
    else if (/^(evidence|progress|pareto|slice|agreement)/.test(name)) await onPoints(plot, pick);
  };
  app.afterDraw.push(async (name, plot) => {
    if (name === "parallel") {
      quiet(plot);
      plot.removeAllListeners?.("plotly_restyle");
      plot.on("plotly_restyle", () => app.pick(brushed(), "parallel"));
    }
    shown.delete(name);
    await show(name, plot, app.state.pick);
  });
  app.follow = () => Promise.all([...app.drawn].map((name) => show(name, app.plot(name), app.state.pick)));

  app.on(({ pick }) => {
    app.byId("picked").hidden = pick === null;
    app.byId("picked-count").textContent = pick === null ? "" : `${app.count(pick.size, "trial")} selected`;
    app.follow();
  });
  app.byId("clear").addEventListener("click", () => app.pick(null));
})();
