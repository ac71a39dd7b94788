"use strict";
/* Samples from one noise: trial by trial, through training, and two sheets in turn. */
(() => {
  const { pictures, strips } = app.study;
  const image = (picture, alt, extra = {}) => app.el("img", { src: picture.uri, alt, width: picture.w, height: picture.h, loading: "lazy", ...(picture.px && { class: "pixels" }), ...extra });
  app.sheet = (number) => pictures[number];
  app.sampleImage = image;
  const said = (trial) => `trial ${trial.n}${trial.note ? ` (${trial.note})` : ""}`;
  const having = () => app.trials.filter((trial) => pictures[trial.n]);

  // a row for each trial ----------------------------------------------------------------------------------------
  const row = (trial) => app.el("li", { "data-trial": trial.n },
    app.el("span", {}, app.el("a", { href: `#trial-${trial.n}` }, said(trial)), app.el("small", {}, app.bdi(reached(trial)))),
    app.el("span", { class: "crop" }, image(pictures[trial.n], `First samples of ${said(trial)}`)));
  const column = app.study.table.columns.findIndex(({ head }) => head === "last rung");
  const reached = (trial) => `${app.study.table.columns[column].texts[app.placeOf.get(trial.n)]}${trial.label === "complete" ? "" : `, ${trial.label}`}`;
  const matrix = (pick) => {
    const shown = having().filter((trial) => pick === null || pick.has(trial.n));
    app.byId("matrix").replaceChildren(...shown.map(row));
    app.byId("no-samples").hidden = shown.length > 0;
    if (!shown.length && pick !== null && having().length) app.byId("no-samples").textContent = "No sample pictures of the selected trials on this page.";
  };

  // through training --------------------------------------------------------------------------------------------
  app.strip = (number) => {
    const strip = strips[number];
    if (!strip) return null;
    return app.el("figure", { class: "lens" }, app.el("figcaption", {}, `Trial ${number}`), app.el("div", {},
      app.el("ol", {}, ...strip.rows.map((text) => app.el("li", {}, text))),
      image(strip, `Trial ${number}: samples from the same noise, by rows at ${strip.rows.join(", ")}`)));
  };
  const lenses = (pick) => {
    const shown = app.trials.filter((trial) => strips[trial.n] && (pick === null || pick.has(trial.n)));
    app.byId("strips").replaceChildren(...shown.map((trial) => app.strip(trial.n)));
    for (const id of ["strips-title", "strips-caption"]) app.byId(id).hidden = shown.length === 0;
  };

  // A and B -----------------------------------------------------------------------------------------------------
  const [a, b] = [app.byId("blink-a"), app.byId("blink-b")];
  const flip = app.byId("blink-flip"), sheet = app.byId("blink-image"), zoom = app.byId("zoom");
  const look = () => {
    const second = flip.ariaPressed === "true";
    const number = Number((second ? b : a).value);
    const picture = pictures[number];
    if (!picture) return;
    sheet.src = picture.uri;
    sheet.alt = `Samples of trial ${number}`;
    sheet.style.width = `${picture.w * Number(zoom.value)}px`;
    flip.textContent = second ? "Show A" : "Show B";
  };
  const offer = () => {
    const trials = having();
    app.byId("blink").hidden = trials.length < 2;
    for (const select of [a, b]) select.replaceChildren(...trials.map((trial) => app.el("option", { value: trial.n }, `${said(trial)}`)));
    const first = trials.find((trial) => trial.searched) || trials[0];
    const zero = trials.find((trial) => trial.n === 0 && trial !== first) || trials.find((trial) => trial !== first);
    if (first && zero) { a.value = first.n; b.value = zero.n; }
    const width = pictures[trials[0]?.n]?.w || 64;
    zoom.max = Math.max(4, Math.ceil(1024 / width));
    zoom.value = Math.max(1, Math.round(420 / width));
    look();
  };
  flip.addEventListener("click", () => { flip.ariaPressed = String(flip.ariaPressed !== "true"); look(); });
  [a, b].forEach((select) => select.addEventListener("change", () => { flip.ariaPressed = String(select === b); look(); }));
  zoom.addEventListener("input", look);

  let made = false;
  let shown;
  const show = (pick) => {
    if (!made) { offer(); made = true; }
    if (shown === pick) return;
    shown = pick;
    matrix(pick);
    lenses(pick);
  };
  app.on(({ view, pick }) => { if (view === "samples") show(pick); });
  addEventListener("beforeprint", () => {
    show(app.state.pick);
    document.querySelectorAll("img[loading]").forEach((picture) => { picture.loading = "eager"; }); // out of sight, but on paper
  });
})();
