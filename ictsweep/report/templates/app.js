"use strict";
/* Draws the figures in the colours of the system's mode; sorts, searches and filters the table; copies. No state outside the page. */
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);

  // figures -----------------------------------------------------------------------------------------------------
  const darkOf = read("dark");
  const mode = matchMedia("(prefers-color-scheme: dark)");
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };

  const coloured = (text) => mode.matches ? text.replace(/#[0-9a-f]{6}/g, (hex) => darkOf[hex] || hex) : text;
  const plots = [...document.querySelectorAll(".plot")];
  const draw = (plot) => {
    const figure = JSON.parse(coloured(byId(plot.id.replace("plot-", "data-")).textContent));
    return Plotly.react(plot, figure.data, figure.layout, { ...config, displayModeBar: plot.clientHeight > 300 && "hover" });
  };
  const drawn = Promise.all(plots.map(draw));
  mode.addEventListener("change", () => { selection = null; plots.forEach(draw); filter(); });

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
  const within = (value, range) => range === undefined || range === null || range.length === 0
    || [range].flat(1).length === 0
    || (Array.isArray(range[0]) ? range : [range]).some(([low, high]) => low <= value && value <= high);

  const brushed = () => {
    const trace = parallel.data[0];
    const ranges = trace.dimensions.map((dimension) => dimension.constraintrange);
    if (ranges.every((range) => !range || range.length === 0)) return null;
    return new Set(trace.customdata.filter((_, line) =>
      trace.dimensions.every((dimension, i) => within(dimension.values[line], ranges[i]))));
  };

  if (parallel) {
    drawn.then(() => parallel.on("plotly_restyle", () => { selection = brushed(); filter(); }));
    clear.addEventListener("click", () => { selection = null; draw(parallel); filter(); });
  }

  // copying -----------------------------------------------------------------------------------------------------
  const copy = async (text) => {
    if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // pages opened from disk have no clipboard interface
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
