"use strict";
/* The page of one trial: made from the study's data when it is asked for. */
(() => {
  const panel = document.querySelector('[data-panel="trial"]');
  const title = document.title;
  const { el, bdi } = app;
  const section = (name, ...content) => (content.some(Boolean) ? [el("h3", {}, name), ...content] : []);
  const bullets = (texts) => (texts?.length ? el("ul", { class: "plain" }, ...texts.map((text) => el("li", {}, bdi(text)))) : null);
  const table = (heads, rows, attributes = {}) => el("div", { class: "trial-tables", tabindex: "0", role: "group", "aria-label": heads.join(", ") }, el("table", { class: "params", ...attributes },
    el("thead", {}, el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, ...rows)));

  const near = (place, step) => app.trials[place + step];
  const move = (trial, text, rel) => (trial
    ? el("a", { class: "button", href: `#trial-${trial.n}`, rel }, text)
    : el("span", { class: "button", "aria-disabled": "true", style: "opacity: .4" }, text));
  const header = (trial, place) => el("div", { class: "trial-head" },
    el("h2", {}, `Trial ${trial.n}`),
    el("span", {}, el("span", { class: "dot", style: `background: var(--${trial.label})`, "aria-hidden": "true" }), trial.label, trial.note ? `, ${trial.note}` : ""),
    el("span", { class: "caption" }, trial.comparable ? `place ${place + 1} of ${app.trials.length.toLocaleString("en")}` : "measured in another way: not ranked"),
    el("nav", { "aria-label": "Trials by rank" }, move(near(place, -1), "← better", "prev"), move(near(place, 1), "worse →", "next"), el("a", { class: "button", href: "#trials" }, "All trials")));

  const { columns } = app.study.table;
  const parameters = app.study.paths.map((path) => [path, columns.findIndex(({ name }) => name === path)]);
  const said = (column, place) => (place === undefined ? "—" : columns[column].texts[place]);
  const configuration = (place) => table(["parameter", "here", "trial 0"], parameters.map(([path, column]) => {
    const here = said(column, place), zero = said(column, app.placeOf.get(0));
    return el("tr", { class: here === zero ? "" : "differs" }, el("th", { scope: "row" }, bdi(path)), el("td", {}, bdi(here)), el("td", {}, bdi(zero)));
  }));
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`);
  const options = (place) => parameters.filter(([, column]) => said(column, place) !== "—").map(([path, column]) => {
    const choices = app.study.choices[path];
    const value = choices ? choices[said(column, place)] ?? said(column, place) : String(app.column(columns[column].keys)[place]);
    return ` \\\n  --set ${quoted(`${path}=${value}`)}`;
  }).join("");
  const launches = (trial) => (trial.stints ? table(["launched", "for", "went to", "ended"], trial.stints.map((texts) => el("tr", {}, ...texts.map((text, i) => el(i ? "td" : "th", i ? {} : { scope: "row" }, bdi(text || "–"))))), { class: "params launches" }) : null);
  const facts = (trial) => el("dl", { class: "facts" }, ...[...trial.times, ["training seed", trial.seed], ...(trial.of === undefined ? [] : [["a seed of", `trial ${trial.of}`]])].map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))));

  // curves ------------------------------------------------------------------------------------------------------
  const look = (text) => ({ title: { text, font: { size: 12, color: app.tone("muted") } }, gridcolor: app.tone("rule"), linecolor: app.tone("muted"), zeroline: false, tickfont: { size: 11, color: app.tone("muted") }, automargin: true });
  const shade = (i, of) => app.tone(`ramp${of < 2 ? 4 : 1 + Math.round(3 * i / (of - 1))}`);
  const name = (length) => `run of ${length.toLocaleString("en")} kimg`;
  const paper = () => ({ paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 64, r: 8, t: 8, b: 44 }, font: { color: app.tone("ink"), size: 12 }, legend: { orientation: "h", y: 1.01, yanchor: "bottom", font: { size: 11 } }, hoverlabel: { bgcolor: app.tone("raised"), font: { color: app.tone("ink") } } });
  const rows = [["value", "value", app.study.metric.replace(/[<&]/g, (c) => ({ "<": "&lt;", "&": "&amp;" })[c])], ["levels", "levels", "N(k)"], ["loss", "loss", "loss"], ["grad", "grad", "gradient"]];
  const figure = (place) => {
    const points = app.points(), runs = app.runsOf()[place];
    const shown = rows.filter(([column]) => runs.some(([, first, end]) => points[column].subarray(first, end).some((value) => Number.isFinite(value) && (column === "value" || value !== 0))));
    const data = [];
    const layout = { ...paper(), xaxis: { ...look("kimg into the run"), rangemode: "tozero" } };
    shown.forEach(([column, , text], r) => {
      const high = 1 - r / shown.length, low = 1 - (r + 0.82) / shown.length;
      layout[r ? `yaxis${r + 1}` : "yaxis"] = { ...look(text), domain: [low, high], ...(column !== "value" && { rangemode: "tozero" }) };
      runs.forEach(([length, first, end], i) => {
        const color = shade(i, runs.length);
        const values = Array.from(points[column].subarray(first, end));
        const stage = points.stage ? Array.from(points.stage.subarray(first, end), (s) => (s < 0 ? "" : `, stage ${s}`)) : [];
        data.push({
          x: Array.from(points.kimg.subarray(first, end)), y: values, yaxis: r ? `y${r + 1}` : "y", mode: "lines+markers", name: name(length),
          legendgroup: String(length), showlegend: r === 0 && runs.length > 1, line: { color, width: 2, ...(column === "levels" && { shape: "hv" }) }, marker: { size: 5, color },
          customdata: stage, hovertemplate: `%{y:.4g} at %{x} kimg${stage.length ? "%{customdata}" : ""}<extra></extra>`,
          ...(column === "value" && { error_y: { array: Array.from(points.error.subarray(first, end)), thickness: 1, width: 0, color } }),
        });
      });
    });
    layout.xaxis.anchor = shown.length > 1 ? `y${shown.length}` : "y";
    return { data, layout, height: 90 + 130 * shown.length };
  };
  // the loss by noise level -------------------------------------------------------------------------------------
  const BAND = (80 / 0.002) ** (1 / 16); // from the middle of a band to the next one's
  const spectrum = (place) => {
    const { sigma, images, loss } = app.spectra(), runs = app.spectraOf()[place];
    const data = runs.flatMap(([length, first, end], i) => {
      const color = shade(i, runs.length), many = images.subarray(first, end), all = many.reduce((a, b) => a + b, 0);
      const bands = []; // [middle, images, loss], those without images too, and one on either side: the outline ends at nothing
      for (let j = first; j < end; j += 1) {
        const before = bands.length ? bands[bands.length - 1][0] : sigma[j] / BAND ** 2;
        for (let k = 1; k < Math.round(Math.log(sigma[j] / before) / Math.log(BAND)); k += 1) bands.push([before * BAND ** k, 0, null]);
        bands.push([sigma[j], images[j], loss[j]]);
      }
      bands.push([sigma[end - 1] * BAND, 0, null]);
      const x = bands.map(([middle]) => middle);
      const shared = { name: name(length), legendgroup: String(length) };
      return [
        { ...shared, x, y: bands.map(([, , mean]) => mean), mode: "lines+markers", line: { color, width: 2 }, marker: { size: 5, color }, showlegend: runs.length > 1, hovertemplate: "loss %{y:.3g} around σ = %{x:.3g}<extra></extra>" },
        { ...shared, x, y: bands.map(([, n]) => n / all), yaxis: "y2", mode: "lines", line: { color, width: 2, shape: "hvh" }, showlegend: false, customdata: bands.map(([, n]) => n), hovertemplate: "%{y:.1%} of the images (%{customdata:,}) around σ = %{x:.3g}<extra></extra>" },
      ];
    });
    const layout = { ...paper(), xaxis: { ...look("noise level σ"), type: "log", anchor: "y2" },
      yaxis: { ...look("mean loss"), type: "log", exponentformat: "power", domain: [0.4, 1] }, yaxis2: { ...look("images"), rangemode: "tozero", tickformat: ".0%", domain: [0, 0.3] } };
    return { data, layout, height: 340 };
  };
  const spectra = (place) => {
    if (!app.spectraOf()[place].length) return [];
    return [el("div", { class: "plot", "data-plot": "spectrum", role: "img", "aria-label": "Mean loss and share of the images over the noise level", style: "height: 340px" }),
      el("p", { class: "caption" }, "At which noise levels is the loss, and where were its images sent? Mean training loss per band of levels, and the share of the images there, of the training since the evaluation before each run's last. Losses as the method weights them: compare shapes, not heights between trials of other distances or weightings.")];
  };

  const FIGURES = { curves: figure, spectrum };
  const drawCurves = async (place) => {
    if (typeof Plotly === "undefined") return;
    for (const plot of panel.querySelectorAll(".plot")) {
      const { data, layout } = FIGURES[plot.dataset.plot](place);
      await Plotly.react(plot, data, { ...layout, width: app.paper() ?? undefined }, { responsive: true, displayModeBar: false });
    }
  };
  const curves = (place) => {
    const { valueless } = app.trials[place];
    const lost = valueless ? `${app.count(valueless, "evaluation")} gave no finite value: in no figure.` : "";
    if (!app.runsOf()[place].length) return [el("p", { class: "none" }, lost || "Nothing was measured.")];
    return [el("div", { class: "plot", "data-plot": "curves", role: "img", "aria-label": "Value, noise levels, loss and gradient norm over training", style: `height: ${figure(place).height}px` }),
      el("p", { class: "caption" }, "How did it learn, and at which place of the curriculum? Value with its evaluation error, N(k), training loss and gradient norm at each evaluation; every run starts anew.", lost && ` ${lost}`)];
  };

  const build = (number) => {
    const place = app.placeOf.get(number), trial = app.trials[place];
    const picture = app.sheet(number), strip = app.strip(number);
    const command = el("pre", { tabindex: "0" }, `ictsweep train study.yaml${options(place)}`);
    const copy = el("button", { type: "button", class: "copy" }, "Copy");
    copy.addEventListener("click", async () => { await app.copy(command.textContent); copy.textContent = "Copied"; });
    panel.replaceChildren(header(trial, place), el("p", { class: "answer" }, bdi(columns[columns.length - 1].texts[place])), el("div", { class: "trial-grid" },
      el("div", {}, ...section("Learning curves", ...curves(place)), ...section("Loss by noise level", ...spectra(place)), ...section("Decisions", bullets(trial.cards)), ...section("Failures", bullets(trial.failures)), ...section("Launched again", bullets(trial.retries)), ...section("Launches", launches(trial))),
      el("div", {}, ...section("Configuration", configuration(place)), ...section("Time", facts(trial)),
        ...section("Samples", picture ? app.sampleImage(picture, `Samples of trial ${number}`, { class: `trial-sheet${picture.px ? " pixels" : ""}` }) : el("p", { class: "none" }, trial.pictured ? "Not on this page: its pictures, if they are kept, are in the study's folder." : "It had none when it ended."), strip),
        el("h3", {}, "Run it again, with study.yaml as saved from the Reproduce tab ", copy), command)));
    document.title = `Trial ${number} · ${title}`;
    requestAnimationFrame(() => drawCurves(place)); // once the panel is shown and has a width
  };

  let shown = null;
  const number = () => Number(/^trial-(\d+)$/.exec(app.state.view)?.[1] ?? NaN);
  app.on(({ view }) => {
    const wanted = number();
    if (Number.isNaN(wanted)) { document.title = title; shown = null; panel.replaceChildren(); return; }
    if (view === shown) return;
    shown = view;
    build(wanted);
  });
  const again = () => { const wanted = number(); if (!Number.isNaN(wanted)) drawCurves(app.placeOf.get(wanted)); };
  app.onMode = again;
  addEventListener("beforeprint", again); // light, as wide as the paper
  addEventListener("afterprint", again);
  addEventListener("keydown", (event) => {
    if (Number.isNaN(number()) || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA|PRE)$/.test(event.target.tagName)) return;
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && panel.querySelector(`a[rel="${rel}"]`);
    if (link) { event.preventDefault(); link.click(); }
  });
})();
