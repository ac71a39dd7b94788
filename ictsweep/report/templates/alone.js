"use strict";
/* A page of figures alone: no trials to follow, no tabs. */
(() => {
  app.open = () => {};
  const begin = async () => {
    app.watchFigures();
    await new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); });
    await app.settled();
    document.documentElement.dataset.ready = "yes";
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
})();
