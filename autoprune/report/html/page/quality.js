// The Pareto front of perplexity, time and memory; and the best of each kind as a table.

function drawFront() {
  const { front, measured, unknown_costs: unknown } = DATA.quality;
  byId("front-note").textContent = unknown
    ? `${unknown} of ${measured} measured candidates are omitted: this run did not measure their time or memory.` : "";
  if (!front.length) return empty("plot-front", measured ? "" : "No candidate has been measured yet.");
  const onFront = new Set(front.map((each) => each.slot));
  const others = DATA.candidates.all.filter((each) => each.perplexity && each.memory && each.seconds?.score && !onFront.has(each.slot));
  const mebibytes = (bytes) => Math.round(bytes / 2 ** 20);
  const hover = (slot, perplexity, seconds, memory) =>
    `${plain(slot)}<br>perplexity ${figure(perplexity)}<br>${figure(seconds)} s of scoring<br>${mebibytes(memory).toLocaleString("en")} MiB`;
  const sorted = front.toSorted ? front.toSorted((a, b) => a.seconds_score - b.seconds_score) : front;
  return show("plot-front", [
    {
      type: "scatter", mode: "markers", name: "other candidates", hoverinfo: "text",
      x: others.map((each) => each.seconds.score), y: others.map((each) => each.perplexity),
      customdata: others.map((each) => each.slot),
      text: others.map((each) => hover(each.slot, each.perplexity, each.seconds.score, each.memory)),
      marker: { size: 8, color: colour("design"), opacity: 0.5 },
    },
    {
      type: "scatter", mode: front.length > 25 ? "markers" : "markers+text", name: "on the front", hoverinfo: "text",
      x: sorted.map((each) => each.seconds_score), y: sorted.map((each) => each.perplexity),
      customdata: sorted.map((each) => each.slot), text: sorted.map((each) => plain(each.slot)), textposition: "top center", cliponaxis: false,
      hovertext: sorted.map((each) => hover(each.slot, each.perplexity, each.seconds_score, each.memory_bytes)),
      marker: {
        size: 13, color: sorted.map((each) => mebibytes(each.memory_bytes)), colorscale: scale("low", "middle", "high"),
        line: { width: 2, color: colour("accent") },
        colorbar: colourBar("MiB"),
      },
    },
  ], {
    xaxis: axis({ title: { text: "seconds of scoring" }, type: "log", tickformat: ".3~g", nticks: 8 }),
    yaxis: axis({ title: { text: "perplexity, search split" }, type: "log", range: worthSeeing([...front, ...others].map((each) => each.perplexity)), tickformat: ".4~g", nticks: 8 }),
    hovermode: "closest",
  }, { plotly_click: clickedSlot });
}

function startKinds() {
  const { cells } = DATA.quality;
  if (!cells.length) return byId("kinds").append(el("p", "note", "No candidate has been measured yet."));
  const named = (cell) => `${cell.group}, ${cell.cost}`;
  const columns = [...new Set(cells.map(named))].sort();
  const inputs = [...new Set(cells.map((cell) => cell.inputs.join(" + ") || "none"))];
  const at = new Map(cells.map((cell) => [`${cell.inputs.join(" + ") || "none"}|${named(cell)}`, cell]));
  byId("kinds").append(el("table", "", el("thead", "", el("tr", "", el("th", "", "inputs"), columns.map((column) => el("th", "", column)))),
    el("tbody", "", inputs.map((input) => el("tr", "", el("td", "", input), columns.map((column) => {
      const cell = at.get(`${input}|${column}`);
      return cell ? el("td", "", `${figure(cell.perplexity)} `, el("span", "inline", button(cell.slot, () => openSheet(cell.slot)))) : el("td");
    }))))));
}
