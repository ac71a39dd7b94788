"use strict";
/* Figures are drawn when they come into sight, in the colours of the system's mode; a click leads to the trial. */
(() => {
  const darkOf = app.read("dark");
  const mode = matchMedia("(prefers-color-scheme: dark)");
  const config = { responsive: true, displayModeBar: false, displaylogo: false };
  const [PAPER, HALF] = [680, 330]; // pixels: a sheet of A4 or Letter less its margins, and half of it
  let printing = false; // paper is light
  app.coloured = (text) => (mode.matches && !printing ? text.replace(/#[0-9a-f]{6}/g, (hex) => darkOf[hex] || hex) : text);
  const lightOf = Object.fromEntries(Object.entries(darkOf).map(([light, dark]) => [dark, light]));
  app.tone = (name) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    return mode.matches && printing ? lightOf[hex] || hex : hex;
  };
  app.paper = () => (printing ? PAPER : null);

  const plots = new Map([...document.querySelectorAll(".plot")].map((plot) => [plot.id.slice(5), plot]));
  const pending = new Set();
  app.drawn = new Set(); // names of figures that are on the page now
  app.plot = (name) => plots.get(name);
  app.figure = (name) => JSON.parse(app.coloured(app.byId(`data-${name}`).textContent));
  app.afterDraw = []; // (name, plot) => void

  const render = async (name) => {
    const plot = plots.get(name);
    const first = !app.drawn.has(name);
    const figure = app.figure(name);
    app.drawn.add(name);
    await Plotly.react(plot, figure.data, app.adapt(figure.layout, plot), config);
    if (first) listen(name, plot);
    for (const then of app.afterDraw) await then(name, plot);
  };
  app.draw = (name) => {
    if (typeof Plotly === "undefined") { app.byId("no-plotly").hidden = false; return Promise.resolve(); }
    const work = render(name).finally(() => pending.delete(work));
    pending.add(work);
    return work;
  };
  app.settled = async () => { while (pending.size) await Promise.all(pending); };
  app.adapt = (layout, plot) => { // the reader's drag mode survives a redraw; legends take less room on a phone
    if (printing) return { ...layout, width: plot.closest(".slices") ? HALF : PAPER };
    const narrow = plot.clientWidth < 480;
    return { ...layout, dragmode: plot.dataset.drag || "zoom", margin: narrow ? { ...layout.margin, l: Math.min(48, (layout.margin || {}).l ?? 48) } : layout.margin };
  };

  const numberAt = (point) => {
    const found = Array.isArray(point.customdata) ? point.customdata[0] : point.customdata;
    return app.placeOf.has(found) ? found : null;
  };
  const listen = (name, plot) => {
    if (name === "parallel" || name.startsWith("importance") || !plot.on) return;
    plot.on("plotly_click", ({ points }) => {
      const number = points.map(numberAt).find((found) => found !== null);
      if (number !== undefined && !name.startsWith("map") || points.some((p) => p.data.mode === "markers" && numberAt(p) !== null)) app.open(number);
    });
    plot.on("plotly_selected", (event) => {
      if (!event) return;
      const found = new Set(event.points.map(numberAt).filter((number) => number !== null));
      app.pick(found.size ? found : null, name);
    });
    plot.on("plotly_deselect", () => app.pick(null));
  };

  const sight = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const name = target.id.slice(5);
      if (isIntersecting && !app.drawn.has(name)) app.draw(name);
    }
  }, { rootMargin: "120px" });
  app.watchFigures = () => plots.forEach((plot) => sight.observe(plot));

  const redraw = () => [...app.drawn].filter((name) => plots.has(name)).map(app.draw);
  mode.addEventListener("change", () => { redraw(); app.onMode?.(); });
  addEventListener("beforeprint", () => {
    printing = true;
    for (const name of plots.keys()) if (!plots.get(name).closest("[data-option][hidden]")) app.draw(name);
  });
  addEventListener("afterprint", () => { // back to the screen's width; those out of sight are drawn anew when they come into it
    printing = false;
    for (const name of [...app.drawn]) {
      const plot = plots.get(name);
      if (!plot) continue;
      if (plot.offsetParent) app.draw(name).then(() => Plotly.Plots.resize(plot)).catch(() => {});
      else { Plotly.purge(plot); app.drawn.delete(name); }
    }
  });

  // under each figure -------------------------------------------------------------------------------------------
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.(".figure-tools button");
    if (!button) return;
    const name = button.closest("[data-figure]").dataset.figure;
    const plot = app.plot(name);
    if (!app.drawn.has(name)) await app.draw(name);
    if (button.dataset.save) await still(name, button.dataset.save);
    if (button.dataset.drag) {
      const on = button.ariaPressed !== "true";
      button.ariaPressed = String(on);
      plot.dataset.drag = on ? "select" : "zoom";
      Plotly.relayout(plot, { dragmode: plot.dataset.drag });
    }
    if ("reset" in button.dataset) app.draw(name);
  });
  app.stillOf = async (name, format) => { // light, on white, what is in sight at the size of the page: for a paper
    const plot = app.plot(name), { data, layout } = JSON.parse(app.byId(`data-${name}`).textContent);
    const shown = Object.fromEntries(Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)).map((key) => [key, { ...layout[key], range: plot.layout?.[key]?.range, autorange: plot.layout?.[key]?.autorange }]));
    const size = { width: Math.max(480, plot.clientWidth), height: plot.clientHeight };
    const still = { data, layout: { ...layout, ...shown, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff" } };
    return Plotly.toImage(still, { format, ...size, scale: format === "png" ? 3 : 1 });
  };
  const still = async (name, format) => app.save(`${app.study.study}-${name}.${format}`, await app.stillOf(name, format));

  // one of several ----------------------------------------------------------------------------------------------
  document.querySelectorAll(".choices input").forEach((input) => input.addEventListener("change", () => {
    const others = [...document.getElementsByName(input.name)].map((other) => other.value);
    const show = new Set([...app.state.show].filter((value) => !others.includes(value)));
    if (input.value !== others[0]) show.add(input.value);
    app.change({ show });
  }));
  app.on(({ show }) => document.querySelectorAll(".group").forEach((group) => {
    const options = [...group.querySelectorAll("[data-option]")];
    const chosen = options.find((option) => show.has(option.dataset.option)) || options[0];
    options.forEach((option) => { option.hidden = option !== chosen; });
    const input = group.querySelector(`input[value="${CSS.escape(chosen.dataset.option)}"]`);
    if (input) input.checked = true;
  }));
})();
