"use strict";
/* Tabs, copying, and an open page that follows the study. */
(() => {
  const panels = [...document.querySelectorAll("[data-panel]")];
  const tabs = [...document.querySelectorAll("[data-tab]")];

  app.on(({ view }, before) => {
    const name = view.startsWith("trial-") ? "trial" : view;
    if (before && before.view === view) return;
    panels.forEach((panel) => { panel.hidden = panel.dataset.panel !== name; });
    tabs.forEach((tab) => {
      if (tab.dataset.tab === (name === "trial" ? "trials" : name)) tab.setAttribute("aria-current", "page"); else tab.removeAttribute("aria-current");
    });
    document.body.dataset.view = name;
    if (before) { scrollTo(0, 0); app.byId("main").focus({ preventScroll: true }); }
    requestAnimationFrame(() => app.follow());
  });

  document.querySelectorAll(".copy[data-copy]").forEach((button) => {
    const text = button.textContent;
    button.addEventListener("click", async () => {
      await app.copy(app.byId(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = text; }, 1500);
    });
  });

  // the study goes on: a newer page is beside this one ----------------------------------------------------------
  const { stamp } = app.byId("study").dataset;
  const PLACE = `ictsweep ${location.pathname}`;
  globalThis.ictsweepStamp = (newest) => {
    const busy = document.activeElement?.matches("input, select, textarea") || getSelection()?.type === "Range";
    if (!stamp || newest === stamp || busy) return;
    try {
      const { tried } = JSON.parse(sessionStorage.getItem(PLACE) || "{}");
      if (tried === newest) return; // it was reloaded for this one: the page beside it is not the newest yet
      sessionStorage.setItem(PLACE, JSON.stringify({ tried: newest, at: scrollY, rows: app.byId("rows")?.scrollTop }));
    } catch { /* then it begins at the top */ }
    location.reload();
  };
  const ask = () => {
    if (document.hidden) return;
    const script = app.el("script", { src: `stamp.js?${Date.now()}` });
    script.onload = script.onerror = () => script.remove();
    document.head.append(script);
  };
  if (stamp) setInterval(ask, 5000);
  app.askForNewer = ask;

  const begin = () => {
    app.begin();
    app.watchFigures();
    try {
      const { tried, at, rows } = JSON.parse(sessionStorage.getItem(PLACE) || "{}");
      sessionStorage.setItem(PLACE, JSON.stringify({ tried }));
      if (at !== undefined) requestAnimationFrame(() => { scrollTo(0, at); if (rows) app.byId("rows").scrollTop = rows; });
    } catch { /* no storage for pages from disk */ }
    requestAnimationFrame(() => requestAnimationFrame(async () => {
      await app.settled();
      document.documentElement.dataset.ready = "yes";
    }));
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
})();
