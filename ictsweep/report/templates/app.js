"use strict";
/* Draws the figures in the colours of the system's mode; sorts, searches and filters the table; copies. No state outside the page. */
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);

  // figures -----------------------------------------------------------------------------------------------------
  const darkOf = read("dark");
  const mode = matchMedia("(prefers-color-scheme: dark)");
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };

  let printing = false; // paper is light
  const coloured = (text) => mode.matches && !printing ? text.replace(/#[0-9a-f]{6}/g, (hex) => darkOf[hex] || hex) : text;
  const plots = [...document.querySelectorAll(".plot")];
  const draw = (plot) => {
    const figure = JSON.parse(coloured(byId(plot.id.replace("plot-", "data-")).textContent));
    return Plotly.react(plot, figure.data, figure.layout, { ...config, displayModeBar: plot.clientHeight > 300 && "hover" });
  };
  const drawn = Promise.all(plots.map(draw));
  const redraw = () => { selection = null; plots.forEach(draw); filter(); };
  mode.addEventListener("change", redraw);
  addEventListener("beforeprint", () => { printing = true; if (mode.matches) redraw(); });
  addEventListener("afterprint", () => { printing = false; if (mode.matches) redraw(); });

  // table -------------------------------------------------------------------------------------------------------
  const table = byId("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const search = byId("search");
  const chips = [...document.querySelectorAll(".chip")];
  const clear = byId("clear");
  const texts = new Map(rows.map((row) => [row, row.textContent.replace(/\s+/g, " ").toLowerCase()]));
  let selection = null; // trial numbers brushed in the parallel coordinates; null for all

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const labels = new Set(chips.filter((chip) => chip.ariaPressed === "true").map((chip) => chip.dataset.label));
    let shown = 0;
    for (const row of rows) {
      const fits = labels.has(row.dataset.label)
        && (selection === null || selection.has(Number(row.dataset.trial)))
        && words.every((word) => texts.get(row).includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    byId("shown").textContent = `${shown} of ${rows.length} trials`;
    clear.hidden = selection === null;
  };

  const order = (column, sign) => {
    const key = (row) => row.cells[column].dataset.key;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined); // nothing sorts last, always
      const difference = Number(x) - Number(y);
      return sign * (Number.isNaN(difference) ? x.localeCompare(y) : difference);
    };
    body.append(...[...rows].sort(compare));
  };

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const ascending = head.ariaSort !== "ascending";
    heads.forEach((other) => { other.ariaSort = "none"; });
    head.ariaSort = ascending ? "ascending" : "descending";
    order(column, ascending ? 1 : -1);
  }));
  search.addEventListener("input", filter);
  chips.forEach((chip) => chip.addEventListener("click", () => {
    chip.ariaPressed = String(chip.ariaPressed !== "true");
    filter();
  }));

  // brushing ----------------------------------------------------------------------------------------------------
  const parallel = byId("plot-parallel");
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

  if (parallel) {
    drawn.then(() => parallel.on("plotly_restyle", () => { selection = brushed(); filter(); }));
    clear.addEventListener("click", () => { selection = null; draw(parallel); filter(); });
  }

  // copying -----------------------------------------------------------------------------------------------------
  const copy = async (text) => {
    try {
      return await navigator.clipboard.writeText(text);
    } catch { /* no clipboard, or none for pages from disk: the old way */ }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", async () => {
    await copy(byId(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }));

  drawn.then(() => { document.documentElement.dataset.ready = "yes"; });
})();
