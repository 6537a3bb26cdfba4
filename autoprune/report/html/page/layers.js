// Sparsity, skewness and error of every layer as heat maps of role and block; and how sparsity follows from skewness.

function subjectNow() {
  return DATA.layers.subjects[Number(byId("layers-subject").value)];
}

function heat(id, title, values, colours, unit) {
  const { rows, columns, roles, blocks, names } = DATA.layers;
  const grid = rows.map(() => columns.map(() => null));
  const words = rows.map(() => columns.map(() => ""));
  names.forEach((name, index) => {
    const [row, column] = [rows.indexOf(roles[index]), columns.indexOf(blocks[index])];
    grid[row][column] = values[index];
    words[row][column] = `${plain(name)}<br>${unit} ${values[index] ?? "unknown"}`;
  });
  return show(id, [{
    type: "heatmap", z: grid, x: columns.map(plain), y: rows.map(plain), text: words, hoverinfo: "text", colorscale: colours,
    xgap: 1, ygap: 1, colorbar: { ...colourBar(unit), len: 1 },
  }], {
    title: heading(title),
    xaxis: axis({ title: { text: "block" }, type: "category", showgrid: false, nticks: small.matches ? 8 : 16 }),
    yaxis: axis({ title: { text: "layer" }, type: "category", autorange: "reversed", showgrid: false }),
  });
}

function ofLayers(key) {
  const values = DATA.layers.names.map(() => null);
  for (const unit of DATA.layers.units) for (const layer of unit.layers) values[layer] = unit[key];
  return values;
}

function drawSparsity() {
  const subject = subjectNow();
  if (!subject) return empty("plot-sparsity", "No layers have been measured yet.");
  return heat("plot-sparsity", "sparsity", DATA.layers.allocations[subject.allocation], scale("low", "middle", "high"), "sparsity");
}

function drawSkewness() {
  if (!subjectNow() || !DATA.layers.units.length) return empty("plot-skewness", "");
  const title = `skewness of |weight| before pruning, per ${DATA.layers.kind}`;
  return heat("plot-skewness", title, ofLayers("skewness"), scale("hot-low", "hot-middle", "hot-high"), "skewness");
}

function drawErrors() {
  const subject = subjectNow();
  if (!subject) return empty("plot-errors", "");
  return heat("plot-errors", "relative error of the layer's output", subject.errors, scale("hot-low", "hot-middle", "hot-high"), "relative error");
}

/** One point for each unit: its skewness, and the sparsity that it was given (the mean over its layers). */
function drawCause() {
  const subject = subjectNow();
  const units = DATA.layers.units.filter((unit) => unit.layers.length);
  if (!subject || !units.length) return empty("plot-cause", "");
  const given = DATA.layers.allocations[subject.allocation];
  const mean = (unit) => unit.layers.reduce((sum, layer) => sum + given[layer], 0) / unit.layers.length;
  return show("plot-cause", [{
    type: "scatter", mode: "markers", x: units.map((unit) => unit.skewness), y: units.map(mean), hoverinfo: "text",
    text: units.map((unit) => `${plain(unit.name)}<br>skewness ${unit.skewness}, sparsity ${mean(unit).toFixed(4)}`),
    marker: { size: 10, color: units.map((_, index) => index), colorscale: scale("hot-low", "hot-middle", "hot-high"), line: { width: 1, color: colour("quiet") } },
  }], {
    title: heading(`sparsity against skewness, each ${DATA.layers.kind} coloured by depth`),
    xaxis: axis({ title: { text: "skewness" } }),
    yaxis: axis({ title: { text: "sparsity" } }),
  });
}

function startLayers() {
  const chooser = byId("layers-subject");
  chooser.append(...DATA.layers.subjects.map((subject, index) => {
    const made = el("option", "", `${subject.label} (perplexity ${figure(subject.perplexity)})`);
    made.value = index;
    return made;
  }));
  const best = DATA.layers.subjects.findIndex((subject) => subject.key === DATA.best);
  const sdsa = DATA.layers.subjects.findIndex((subject) => subject.key.includes("sdsa"));
  chooser.value = String(best >= 0 ? best : Math.max(sdsa, 0));
  chooser.addEventListener("change", () => {
    for (const id of ["plot-sparsity", "plot-skewness", "plot-errors", "plot-cause"]) if (drawn.has(id)) plots.get(id)();
  });
  byId("layers-note").textContent = DATA.layers.unknown;
}
